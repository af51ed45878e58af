//! To be written.
use std::path::Path;
pub fn write_vision(_: &crate::models::ModelSet, _: &Path) -> crate::Result<()> {
    todo!()
}
pub fn write_text(_: &crate::models::ModelSet, _: &Path) -> crate::Result<()> {
    todo!()
}
