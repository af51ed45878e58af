//! https in front of a server on the loopback: one request a connection is passed on, and its answer back.

use std::{
    io::{Read as _, Write as _, copy},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use rustls::{
    ServerConfig, ServerConnection, Stream,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

/// A certificate for 127.0.0.1 of an authority that nobody knows but who reads the file.
pub(crate) struct Authority {
    dir: PathBuf,
}

impl Authority {
    /// Its files lie in `dir`. `openssl` is there wherever ca-certificates is.
    pub(crate) fn make(dir: &Path) -> Self {
        let openssl = |own: &[&str]| {
            let key = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
            let ran = Command::new("openssl").args(key).args(own).current_dir(dir).output().unwrap();
            assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        };
        openssl(&["-subj", "/CN=authority", "-keyout", "authority.key", "-out", "authority.pem"]);
        let of_it = ["-CA", "authority.pem", "-CAkey", "authority.key", "-addext", "basicConstraints=critical,CA:FALSE"];
        let own = ["-subj", "/CN=hub", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "hub.key", "-out", "hub.pem"];
        openssl(&[&of_it[..], &own].concat());
        Self { dir: dir.to_owned() }
    }

    /// What `SSL_CERT_FILE` names to trust it.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir.join("authority.pem")
    }

    /// Serves `plain` over TLS, until the test's process ends.
    pub(crate) fn front(&self, plain: SocketAddr) -> SocketAddr {
        let certificate = CertificateDer::from_pem_file(self.dir.join("hub.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(self.dir.join("hub.key")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serve = move || {
            for stream in listener.incoming() {
                // A client that does not trust the certificate goes away.
                let _ = pass_on(&config, &mut stream.unwrap(), plain);
            }
        };
        std::thread::Builder::new().name("tls".to_owned()).spawn(serve).unwrap();
        address
    }
}

fn pass_on(config: &Arc<ServerConfig>, stream: &mut TcpStream, plain: SocketAddr) -> std::io::Result<()> {
    let mut connection = ServerConnection::new(Arc::clone(config)).unwrap();
    let mut tls = Stream::new(&mut connection, stream);
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        tls.read_exact(&mut byte)?;
        request.extend(byte);
    }
    let mut server = TcpStream::connect(plain)?;
    server.write_all(&request)?;
    copy(&mut server, &mut tls)?;
    tls.conn.send_close_notify();
    tls.flush()
}
