//! The image and the compose file, on a real engine.

mod common;

#[test]
fn stub() {
    common::skip("a test");
}
