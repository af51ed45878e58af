//! What a file is named by in the hub, and the hash that it says: SHA-256 of a large file, git's SHA-1 of any other.

use std::fmt::Write as _;

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// An entity tag that is a hash: 64 or 40 hexadecimal digits, so that it is a file name, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Etag(String);

impl Etag {
    /// A header's value, weak or not; `None` where it is no hash.
    pub(super) fn parse(header: &str) -> Option<Self> {
        let bare = header.trim().trim_start_matches("W/").trim_matches('"');
        is_hash(bare, &[40, 64]).then(|| Self(bare.to_ascii_lowercase()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Begins the hash of a file of `size` bytes.
    pub(super) fn hasher(&self, size: u64) -> Hasher {
        if self.0.len() == 64 {
            return Hasher::Large(Sha256::new());
        }
        let mut git = Sha1::new();
        git.update(format!("blob {size}\0"));
        Hasher::Git(git)
    }
}

/// Whether `text` is hexadecimal and as long as a hash is.
pub(super) fn is_hash(text: &str, lengths: &[usize]) -> bool {
    lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A hash under way.
pub(super) enum Hasher {
    Large(Sha256),
    Git(Sha1),
}

impl Hasher {
    pub(super) fn update(&mut self, piece: &[u8]) {
        match self {
            Self::Large(hash) => hash.update(piece),
            Self::Git(hash) => hash.update(piece),
        }
    }

    /// The hash in hexadecimal.
    pub(super) fn finish(self) -> String {
        match self {
            Self::Large(hash) => hex(&hash.finalize()),
            Self::Git(hash) => hex(&hash.finalize()),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(etag: &str, content: &[u8]) -> String {
        let mut hasher = Etag::parse(etag).unwrap().hasher(content.len() as u64);
        content.chunks(3).for_each(|piece| hasher.update(piece));
        hasher.finish()
    }

    #[test]
    fn large_files_have_sha256_and_others_gits_own_hash() {
        assert_eq!(of(&"0".repeat(64), b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        // `printf abc | git hash-object --stdin`
        assert_eq!(of(&"0".repeat(40), b"abc"), "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f");
    }

    #[test]
    fn only_a_hash_is_a_tag() {
        let hash = "F2BA8F84AB5C1BCE84A7B441CB1959CFC7093B7F";
        for header in [format!("\"{hash}\""), format!("W/\"{hash}\""), hash.to_owned()] {
            assert_eq!(Etag::parse(&header).unwrap().as_str(), hash.to_ascii_lowercase());
        }
        for header in ["", "\"../../etc/passwd\"", "\"abc\"", &format!("\"{}/\"", &hash[1..])] {
            assert_eq!(Etag::parse(header), None, "{header}");
        }
    }
}
