//! Chance that can be repeated: everything drawn follows from a seed and from what it is for, so
//! that a change in one part leaves the others as they were.

use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use sha2::{Digest, Sha256};

/// A source of random choices for one purpose.
#[derive(Debug)]
pub(super) struct Chance(StdRng);

impl Chance {
    /// The source for a purpose, and the number of a day or of a person in it.
    pub(super) fn new(seed: u64, purpose: &str, number: u64) -> Self {
        let digest = Sha256::digest(format!("{seed}/{purpose}/{number}"));
        Self(StdRng::from_seed(digest.into()))
    }

    /// An id in the form of a MongoDB ObjectId.
    pub(super) fn object_id(&mut self) -> String {
        hex::encode(self.0.random::<[u8; 12]>())
    }

    /// An id in the form of a UUID.
    pub(super) fn uuid(&mut self) -> String {
        uuid::Builder::from_random_bytes(self.0.random()).into_uuid().to_string()
    }

    /// A whole number from `from` up to and without `to`.
    pub(super) fn range(&mut self, from: i64, to: i64) -> i64 {
        self.0.random_range(from..to.max(from + 1))
    }

    /// A place in a list of so many, which is not empty.
    pub(super) fn index(&mut self, count: usize) -> usize {
        self.0.random_range(0..count.max(1))
    }

    /// One of several.
    pub(super) fn choice<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.index(among.len())]
    }

    /// So many of them, in a new order.
    pub(super) fn sample<T: Clone>(&mut self, among: &[T], count: usize) -> Vec<T> {
        let mut all = among.to_vec();
        all.shuffle(&mut self.0);
        all.truncate(count);
        all
    }

    /// Whether something of this probability happens.
    pub(super) fn happens(&mut self, probability: f64) -> bool {
        self.0.random_bool(probability)
    }

    /// Bytes that cannot be compressed.
    pub(super) fn noise(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.fill(bytes.as_mut_slice());
        bytes
    }
}
