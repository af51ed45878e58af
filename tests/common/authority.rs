//! A certificate for 127.0.0.1 of an authority that nobody knows but who reads the file.

use std::{path::PathBuf, process::Command};

use tempfile::TempDir;

/// Its files, until it is dropped.
pub(crate) struct Authority(TempDir);

impl Authority {
    /// `openssl` is there wherever ca-certificates is.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let openssl = |own: &[&str]| {
            let key = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
            let ran = Command::new("openssl").args(key).args(own).current_dir(dir.path()).output().unwrap();
            assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        };
        openssl(&["-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem"]);
        let of_it = ["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "basicConstraints=critical,CA:FALSE"];
        let own = ["-subj", "/CN=server", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "server.key", "-out", "server.pem"];
        openssl(&[&of_it[..], &own].concat());
        Self(dir)
    }

    /// Its own certificate: who reads that trusts it.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.0.path().join("ca.pem")
    }

    /// What it gave the server: a certificate, and the key to it.
    pub(crate) fn server(&self) -> [PathBuf; 2] {
        ["server.pem", "server.key"].map(|name| self.0.path().join(name))
    }
}
