//! Where a stream comes from, in a word for the JSON lines.

use std::sync::Arc;

use gst::{glib, prelude::*};

/// Asks upstream. The name of a file, or an address without its user and password; `None` where nobody knows.
pub(crate) fn ask(sinkpad: &gst::Pad) -> Option<Arc<str>> {
    let mut query = gst::query::Uri::new();
    if !sinkpad.peer_query(&mut query) {
        return None;
    }
    name(&query.uri()?)
}

fn name(uri: &str) -> Option<Arc<str>> {
    if let Ok((path, _)) = glib::filename_from_uri(uri) {
        return Some(path.file_name()?.to_string_lossy().into());
    }
    let Some((scheme, rest)) = uri.split_once("://") else { return Some(uri.into()) };
    let host = rest.split('/').next().unwrap_or_default();
    let rest = host.rfind('@').map_or(rest, |at| &rest[at + 1..]);
    Some(format!("{scheme}://{rest}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_without_its_folder_and_an_address_without_its_password() {
        for (uri, wanted) in [
            ("file:///a/b%20c.mp4", "b c.mp4"),
            ("rtsp://user:p%40ss@10.0.0.1:554/stream?x=a@b", "rtsp://10.0.0.1:554/stream?x=a@b"),
            ("rtsp://camera/live", "rtsp://camera/live"),
            ("v4l2:/dev/video0", "v4l2:/dev/video0"),
        ] {
            assert_eq!(name(uri).as_deref(), Some(wanted));
        }
    }
}
