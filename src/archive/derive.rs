//! Keys of WinZip AES entries, many at a time.
//!
//! An entry's keys come from the Archive Key and a salt of the entry's own by PBKDF2
//! with HMAC-SHA-1 and 1000 rounds. A round runs SHA-1's compression function twice,
//! and every 20 bytes wanted need rounds of their own: an AES-256 entry costs 8,000
//! runs, and a backup may have 100,000 entries.
//!
//! The runs for one block of 20 bytes wait for each other; those for different blocks
//! and entries do not. So each block gets a *lane*, and sixteen lanes take every step
//! together, as many to an instruction as the processor's vectors hold. The code has
//! no vectors in it: it does plain arithmetic in a loop over arrays that keep the same
//! word of all lanes side by side. The compiler makes vectors of that, once for each
//! kind of processor, and which of these runs is decided where the program runs. Even
//! the narrowest, SSE2 with four lanes, was measured to outrun the processor's SHA-1
//! instructions, which go through one block after another.
//!
//! Sixteen lanes hold four AES-256 entries or eight of AES-128, and an empty lane costs
//! as much as a full one. Ask for many entries at once.
//!
//! This module must never show what it holds: no password and no key in a log, an error
//! or a `Debug` output. It clears its own memory after use; what the hash crates keep
//! and what the compiler spilled from registers is beyond it.

use std::array;

use fearless_simd::{Level, dispatch};
use hmac::{Hmac, Mac};
use sha1::{Digest, Sha1};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// How often WinZip AES wants a key stretched.
const ROUNDS: u32 = 1000;

/// What comes out of SHA-1, and so one block of key material, in bytes.
const BLOCK_BYTES: usize = 20;

/// Blocks that are stretched together: one vector of AVX-512, two of AVX2, four of SSE2.
const LANES: usize = 16;

/// A block of key material, and many of them.
type Block = [u8; BLOCK_BYTES];
type Blocks = Zeroizing<Vec<Block>>;

/// SHA-1's five words.
type State = [u32; 5];

/// The state in which SHA-1 begins (FIPS 180-4, 5.3.1).
const INITIAL: State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

/// How strong the encryption of an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strength {
    /// Keys of 128 bits.
    Aes128 = 1,
    /// Keys of 192 bits.
    Aes192 = 2,
    /// Keys of 256 bits.
    Aes256 = 3,
}

impl Strength {
    /// The strength with this code, if there is one.
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::Aes128, Self::Aes192, Self::Aes256].into_iter().find(|known| known.code() == code)
    }

    /// The code in the extra field of an entry.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Length of the encryption key, and of the authentication key, in bytes.
    pub fn key_bytes(self) -> usize {
        8 + 8 * usize::from(self.code())
    }

    /// Length of the salt, in bytes.
    pub fn salt_bytes(self) -> usize {
        self.key_bytes() / 2
    }

    /// Length of both keys and the verifier, in bytes.
    fn material_bytes(self) -> usize {
        2 * self.key_bytes() + 2
    }
}

/// An entry that needs its keys.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The salt at the beginning of the entry's data.
    pub salt: &'a [u8],
    /// How strong the entry's encryption is.
    pub strength: Strength,
}

/// Key material of one entry. Cleared when dropped, and without `Debug`: no log shows it.
pub struct DerivedKey {
    /// On the heap, so that moving the keys leaves no copy behind.
    material: Zeroizing<Vec<u8>>,
    key_bytes: usize,
}

impl DerivedKey {
    /// Takes as many blocks as there is material; the rest of the last is not needed.
    fn new<'a>(strength: Strength, blocks: impl Iterator<Item = &'a Block>) -> Self {
        let mut material = Zeroizing::new(vec![0; strength.material_bytes()]);
        for (part, block) in material.chunks_mut(BLOCK_BYTES).zip(blocks) {
            part.copy_from_slice(&block[..part.len()]);
        }
        Self { material, key_bytes: strength.key_bytes() }
    }

    /// The key of the cipher.
    pub fn encryption(&self) -> &[u8] {
        &self.material[..self.key_bytes]
    }

    /// The key of the authentication code.
    pub fn authentication(&self) -> &[u8] {
        &self.material[self.key_bytes..2 * self.key_bytes]
    }

    /// Two bytes that follow the salt in the entry if the password is right. A wrong
    /// password passes once in 65,536.
    pub fn verifier(&self) -> &[u8] {
        &self.material[2 * self.key_bytes..]
    }
}

/// Derives the keys of many entries from one password, in the order of the requests.
/// All the work is done on the thread that calls.
pub fn derive(password: &[u8], requests: &[Request<'_>]) -> Vec<DerivedKey> {
    keys(Level::new(), password, requests, ROUNDS)
}

fn keys(level: Level, password: &[u8], requests: &[Request<'_>], rounds: u32) -> Vec<DerivedKey> {
    let count = |strength: Strength| strength.material_bytes().div_ceil(BLOCK_BYTES);
    let jobs: Vec<_> = (requests.iter())
        .flat_map(|request| {
            (1..).map(|number| (request.salt, number)).take(count(request.strength))
        })
        .collect();
    let blocks = blocks(level, password, &jobs, rounds);
    let mut blocks = blocks.iter();
    requests.iter().map(|request| DerivedKey::new(request.strength, &mut blocks)).collect()
}

/// PBKDF2's function F (RFC 8018, 5.2), for pairs of a salt and the number of a block.
fn blocks(level: Level, password: &[u8], jobs: &[(&[u8], u32)], rounds: u32) -> Blocks {
    let hmac = Hmac::<Sha1>::new_from_slice(password).expect("HMAC takes a key of any length");
    let pads = Pads::new(password);
    // As large as it will be: growing would leave copies behind.
    let mut blocks = Zeroizing::new(Vec::with_capacity(jobs.len()));
    for group in jobs.chunks(LANES) {
        let mut lanes = Lanes::default();
        for (lane, (salt, number)) in group.iter().enumerate() {
            // Only the first round reads the salt, which may have any length.
            let mac = hmac.clone().chain_update(salt).chain_update(number.to_be_bytes());
            lanes.begin(lane, &mac.finalize().into_bytes().into());
        }
        dispatch!(level, _simd => lanes.stretch(&pads, rounds - 1));
        blocks.extend((0..group.len()).map(|lane| lanes.block(lane)));
    }
    blocks
}

/// SHA-1 after the first block of HMAC's inner and outer message. The password alone
/// makes that block, so it is hashed once for all rounds of all entries.
#[derive(Zeroize, ZeroizeOnDrop)]
struct Pads {
    inner: State,
    outer: State,
}

impl Pads {
    fn new(password: &[u8]) -> Self {
        let mut key = Zeroizing::new([0; 64]);
        match key.get_mut(..password.len()) {
            Some(start) => start.copy_from_slice(password),
            None => key[..BLOCK_BYTES].copy_from_slice(&Sha1::digest(password)),
        }
        let (words, _) = key.as_chunks();
        let padded =
            |pad| compress(INITIAL, array::from_fn(|word| u32::from_be_bytes(words[word]) ^ pad));
        Self { inner: padded(0x3636_3636), outer: padded(0x5c5c_5c5c) }
    }
}

/// Sixteen blocks on their way: for each of SHA-1's words, that word of every lane.
#[derive(Default, Zeroize, ZeroizeOnDrop)]
struct Lanes {
    /// What the latest round gave.
    latest: [[u32; LANES]; 5],
    /// What all rounds gave, joined by exclusive or.
    sum: [[u32; LANES]; 5],
}

impl Lanes {
    fn begin(&mut self, lane: usize, first: &Block) {
        for (word, bytes) in first.as_chunks().0.iter().enumerate() {
            self.latest[word][lane] = u32::from_be_bytes(*bytes);
            self.sum[word][lane] = self.latest[word][lane];
        }
    }

    // This and all it calls has to be inlined: a function that stays apart is compiled
    // for the least of all processors.
    #[inline(always)]
    fn stretch(&mut self, pads: &Pads, rounds: u32) {
        for _ in 0..rounds {
            for lane in 0..LANES {
                let message = array::from_fn(|word| self.latest[word][lane]);
                let inner = compress(pads.inner, second_block(message));
                let outer = compress(pads.outer, second_block(inner));
                for (word, value) in outer.into_iter().enumerate() {
                    self.latest[word][lane] = value;
                    self.sum[word][lane] ^= value;
                }
            }
        }
    }

    fn block(&self, lane: usize) -> Block {
        array::from_fn(|byte| self.sum[byte / 4][lane].to_be_bytes()[byte % 4])
    }
}

/// The last block of a message of 64 + 20 bytes. Most of it never changes, which saves
/// a part of the arithmetic.
#[inline(always)]
fn second_block([a, b, c, d, e]: State) -> [u32; 16] {
    let length_bits = (64 + 20) * 8;
    [a, b, c, d, e, 0x8000_0000, 0, 0, 0, 0, 0, 0, 0, 0, 0, length_bits]
}

/// SHA-1's compression function (FIPS 180-4, 6.1.2).
#[inline(always)]
fn compress(state: State, mut words: [u32; 16]) -> State {
    let [mut a, mut b, mut c, mut d, mut e] = state;
    // Every step is written out: the loop over the lanes becomes vectors only if there
    // is no loop in it, and the compiler leaves one of eighty steps as it is.
    macro_rules! steps {
        ($constant:literal, $mixed:expr, $($step:literal)*) => {$(
            if $step >= 16 {
                let near = words[($step + 13) % 16] ^ words[($step + 8) % 16];
                let all = near ^ words[($step + 2) % 16] ^ words[$step % 16];
                words[$step % 16] = all.rotate_left(1);
            }
            // `a` is the last to be known, and so the last to be added.
            let early = e.wrapping_add($constant).wrapping_add(words[$step % 16]);
            let next = early.wrapping_add($mixed).wrapping_add(a.rotate_left(5));
            (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
        )*};
    }
    steps!(0x5a82_7999, d ^ (b & (c ^ d)), 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19);
    steps!(0x6ed9_eba1, b ^ c ^ d, 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39);
    steps!(0x8f1b_bcdc, (b & c) | (d & (b | c)),
        40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59);
    steps!(0xca62_c1d6, b ^ c ^ d, 60 61 62 63 64 65 66 67 68 69 70 71 72 73 74 75 76 77 78 79);
    let now = [a, b, c, d, e];
    array::from_fn(|word| state[word].wrapping_add(now[word]))
}

#[cfg(test)]
mod tests {
    use fearless_simd::Simd;

    use super::{super::cipher::Cipher, *};

    /// What this processor does best, and the lesser ways that it knows as well.
    fn levels() -> impl Iterator<Item = Level> {
        let best = Level::new();
        #[cfg(target_arch = "x86_64")]
        let lesser = [best.as_avx2().map(Simd::level), best.as_sse2().map(Simd::level)];
        #[cfg(not(target_arch = "x86_64"))]
        let lesser = [None];
        [Some(best)].into_iter().chain(lesser).flatten()
    }

    #[test]
    fn the_published_vectors_come_out() {
        // RFC 6070, but for the one of 16,777,216 rounds.
        let (long, salt) = ("passwordPASSWORDpassword", "saltSALTsaltSALTsaltSALTsaltSALTsalt");
        for (password, salt, rounds, expected) in [
            ("password", "salt", 1, "0c60c80f961f0e71f3a9b524af6012062fe037a6"),
            ("password", "salt", 2, "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957"),
            ("password", "salt", 4096, "4b007901b765489abead49d926f721d065a429c1"),
            (long, salt, 4096, "3d2eec4fe41c849b80c8d83662c0e44a8b291a964cf2f07038"),
            ("pass\0word", "sa\0lt", 4096, "56fa6aa75548099dcc37d7f03425e0c3"),
        ] {
            let jobs = [(salt.as_bytes(), 1), (salt.as_bytes(), 2)];
            let found = blocks(Level::new(), password.as_bytes(), &jobs, rounds);
            assert!(hex::encode(found.concat()).starts_with(expected), "{salt}, {rounds} rounds");
        }
    }

    #[test]
    fn a_batch_gives_what_each_entry_gives_alone() {
        let check = |level: Level, password: &[u8], count: u8, rounds: u32| {
            // Salts that look random and are the same in every run.
            let salts: Vec<_> = (0..count).map(|n| Sha1::digest([n, count])).collect();
            // Batches of one strength, and batches of all three in no order.
            let requests = salts.iter().map(|salt| {
                let code = [1, 2, 3, salt[0] % 3 + 1][usize::from(count % 4)];
                let strength = Strength::from_code(code).expect("1 to 3 are codes");
                Request { salt: &salt[..strength.salt_bytes()], strength }
            });
            let requests: Vec<_> = requests.collect();
            let found = keys(level, password, &requests, rounds);
            assert_eq!(found.len(), requests.len());
            for (key, Request { salt, strength }) in found.iter().zip(requests) {
                let mut expected = vec![0; 2 * strength.key_bytes() + 2];
                pbkdf2::pbkdf2_hmac::<Sha1>(password, salt, rounds, &mut expected);
                let (encryption, rest) = expected.split_at(strength.key_bytes());
                let found = (key.encryption(), [key.authentication(), key.verifier()].concat());
                assert_eq!(found, (encryption, rest.to_vec()), "{level:?}, {count} {strength:?}");
            }
        };
        for level in levels() {
            for count in 0..=40 {
                // The password's length passes 64, up to which HMAC takes it as it is.
                check(level, &[b'k'; 85][..45 + usize::from(count)], count, 3);
            }
            check(level, "Archive-Key 密碼 1".as_bytes(), 39, ROUNDS);
        }
    }

    #[test]
    fn entries_that_7_zip_wrote_open() {
        // Salt, verifier, data and authentication code of an entry of each strength.
        for (code, entry) in (1..).zip([
            "a629acfadb199427/61f8/26924b44f918067ef62b4e1118abc81cb1ce419e95ff454821/bea6af5d351e1b66b568",
            "3cf20aef477539fa827e4e24/50b2/f78ab956b046b31a9da85ab666d7f6567b381f6dc93811df5a/af52d24a75022d7c5e2a",
            "dc9c850bde974feeee8b312b6854ae4e/f62b/467095daa01d5da58f1637e774937b6cf5e1de7e8a8f5d77b8/9c4bbf8caa2d4d9166b4",
        ]) {
            let mut parts = entry.split('/').map(|part| hex::decode(part).expect("hexadecimal"));
            let mut part = || parts.next().expect("four parts");
            let (salt, verifier, mut text, code_of_data) = (part(), part(), part(), part());
            let strength = Strength::from_code(code).expect("1 to 3 are codes");
            let key = derive(b"Str0ng!Key#2021", &[Request { salt: &salt, strength }]).remove(0);
            assert_eq!(key.verifier(), verifier);
            let mut cipher = Cipher::aes(strength, &key);
            cipher.apply(&mut text);
            assert_eq!(text, b"A message that was kept.\n");
            assert!(cipher.verify(&code_of_data));
        }
    }
}
