//! The library's errors as GStreamer's: domain and code here, the sentence as it is.

use uniood::Error;

/// An error message with the library's sentence; `element_error!` adds the source.
pub(crate) fn message(error: &Error) -> gst::ErrorMessage {
    let text = error.to_string();
    match error {
        Error::File { action: "read", .. } => gst::error_msg!(gst::ResourceError::NotFound, ("{text}")),
        Error::File { .. } => gst::error_msg!(gst::ResourceError::OpenWrite, ("{text}")),
        Error::Content { .. } | Error::ModelSet { .. } => gst::error_msg!(gst::ResourceError::Read, ("{text}")),
        Error::Device { .. } => gst::error_msg!(gst::ResourceError::OpenReadWrite, ("{text}")),
        Error::Classes(_) | Error::Setting(_) => gst::error_msg!(gst::LibraryError::Settings, ("{text}")),
        Error::Runtime(_) => gst::error_msg!(gst::LibraryError::Init, ("{text}")),
        Error::Boxes(_) | Error::Frame(_) => gst::error_msg!(gst::StreamError::Format, ("{text}")),
        _ => gst::error_msg!(gst::LibraryError::Failed, ("{text}")),
    }
}
