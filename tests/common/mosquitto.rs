//! A real MQTT broker, on a port of its own.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::{
    fs,
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

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
        let [certificate, key] = ["server.pem", "server.key"].map(|name| authority.0.path().join(name));
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

/// Somebody who vouches for a broker on 127.0.0.1.
pub(crate) struct Authority(TempDir);

impl Authority {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let openssl = |arguments: &str| {
            let output = Command::new("openssl").args(arguments.split_whitespace()).current_dir(dir.path()).output().unwrap();
            assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
        };
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority"));
        openssl(&format!("req {key} -keyout server.key -out server.csr -subj /CN=broker"));
        fs::write(dir.path().join("server.ext"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n").unwrap();
        openssl("x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile server.ext -out server.pem");
        Self(dir)
    }

    /// Its own certificate.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.0.path().join("ca.pem")
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
