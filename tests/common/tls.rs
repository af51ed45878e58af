//! https in front of a server on the loopback: one request a connection is passed on, and its answer back.

use std::{
    io::{Read as _, Write as _, copy},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
};

pub(crate) use authority::Authority;
use rustls::{
    ServerConfig, ServerConnection, Stream,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

#[path = "authority.rs"]
mod authority;

impl Authority {
    /// Serves `plain` over TLS, until the test's process ends.
    pub(crate) fn front(&self, plain: SocketAddr) -> SocketAddr {
        let [certificate, key] = self.server();
        let (certificate, key) = (CertificateDer::from_pem_file(certificate).unwrap(), PrivateKeyDer::from_pem_file(key).unwrap());
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
