//! Who may call: whoever has the token. Certificates are looked at before, by TLS.
//!
//! Tokens are compared by their digests, so that the time it takes tells nothing.

use base64::{Engine, prelude::BASE64_STANDARD};
use hyper::header::{AUTHORIZATION, HeaderMap};
use retention::config::Secret;
use sha2::{Digest, Sha256};

/// The shortest token.
const MIN_TOKEN_CHARS: usize = 32;

/// The token is too short to be one.
#[derive(Debug, thiserror::Error)]
#[error("a token has at least {MIN_TOKEN_CHARS} characters, in one line without spaces")]
pub(crate) struct WeakToken;

/// What everybody has to pass.
#[derive(Debug)]
pub(crate) struct Door {
    /// Of the token; none where a certificate is enough.
    digest: Option<[u8; 32]>,
}

impl Door {
    /// A door that wants this token, or none.
    pub(crate) fn new(token: Option<&Secret>) -> Result<Self, WeakToken> {
        let Some(token) = token else { return Ok(Self { digest: None }) };
        let text = token.reveal().trim();
        if text.chars().count() < MIN_TOKEN_CHARS || text.contains(char::is_whitespace) {
            return Err(WeakToken);
        }
        Ok(Self { digest: Some(Sha256::digest(text).into()) })
    }

    /// Whether a request may pass: with the token as a bearer's, or as a browser's password.
    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(wanted) = self.digest else { return true };
        let said = headers.get(AUTHORIZATION).and_then(|said| said.to_str().ok());
        let Some((scheme, given)) = said.and_then(|said| said.split_once(' ')) else {
            return false;
        };
        let token = match scheme.to_ascii_lowercase().as_str() {
            "bearer" => given.trim().to_owned(),
            "basic" => {
                let pair = BASE64_STANDARD.decode(given.trim()).unwrap_or_default();
                let pair = String::from_utf8(pair).unwrap_or_default();
                pair.split_once(':').map(|(_, password)| password.to_owned()).unwrap_or_default()
            }
            _ => return false,
        };
        let given: [u8; 32] = Sha256::digest(token).into();
        given == wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_has_the_token_may_pass() {
        let token = "0123456789abcdef0123456789abcdef";
        let door = Door::new(Some(&Secret::new(format!("{token}\n")))).expect("a token");
        let basic = |pair: &str| format!("Basic {}", BASE64_STANDARD.encode(pair));
        for (said, admitted) in [
            (format!("Bearer {token}"), true),
            (format!("bearer {token}"), true),
            (basic(&format!("anybody:{token}")), true),
            (basic(token), false),
            (format!("Bearer {}", &token[1..]), false),
            (token.to_owned(), false),
            ("Bearer ".to_owned(), false),
            ("Digest x".to_owned(), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, said.parse().expect("a header"));
            assert_eq!(door.admits(&headers), admitted, "{said}");
        }
        assert!(!door.admits(&HeaderMap::new()));
        assert!(Door::new(Some(&Secret::new("short".into()))).is_err());
        assert!(Door::new(None).expect("no token").admits(&HeaderMap::new()));
    }
}
