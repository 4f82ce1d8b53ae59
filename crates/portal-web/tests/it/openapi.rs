//! `docs/openapi.json` is up to date.

use std::path::Path;

#[test]
fn openapi_document_matches_routes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let document = portal_web::openapi().unwrap() + "\n";
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &document).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        document,
        "regenerate it: UPDATE_DOCS=1 cargo nextest run -p portal-web openapi"
    );
}
