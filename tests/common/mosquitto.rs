//! A real MQTT broker, on a port of its own.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::{
    fs,
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

pub(crate) use authority::Authority;
use tempfile::TempDir;

#[path = "authority.rs"]
mod authority;

/// `mosquitto`; killed when dropped.
pub(crate) struct Mosquitto {
    child: Child,
    _dir: TempDir,
}

impl Mosquitto {
    /// `None`, said aloud, where there is no mosquitto. With a login, nobody else may connect.
    pub(crate) fn start(port: u16, login: Option<(&str, &str)>) -> Option<Self> {
        Self::serve(port, login, "")
    }

    /// The same over TLS, with the certificate that `authority` gave to 127.0.0.1.
    pub(crate) fn start_secure(port: u16, login: Option<(&str, &str)>, authority: &Authority) -> Option<Self> {
        let [certificate, key] = authority.server();
        Self::serve(port, login, &format!("certfile {}\nkeyfile {}\n", certificate.display(), key.display()))
    }

    fn serve(port: u16, login: Option<(&str, &str)>, more: &str) -> Option<Self> {
        let path = "/usr/sbin/mosquitto";
        if !std::path::Path::new(path).exists() {
            crate::common::skip("there is no mosquitto; install the package of this name (scripts/setup does)");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let passwords = dir.path().join("passwords");
        let access = login.map_or_else(
            || "allow_anonymous true".to_owned(),
            |(user, password)| {
                let made = Command::new("mosquitto_passwd").args(["-b", "-c"]).arg(&passwords).args([user, password]).status().unwrap();
                assert!(made.success());
                format!("allow_anonymous false\npassword_file {}", passwords.display())
            },
        );
        let conf = dir.path().join("mosquitto.conf");
        fs::write(&conf, format!("listener {port} 127.0.0.1\nuser root\n{access}\n{more}")).unwrap();
        let child = Command::new(path).arg("-c").arg(&conf).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let broker = Self { child, _dir: dir };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "mosquitto does not start");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        Some(broker)
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
