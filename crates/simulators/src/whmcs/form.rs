//! Forms as PHP reads them: urlencoded or multipart.
use bytes::Bytes;

use super::php::{Php, from_pairs, parse_form};

/// The variables of a body. A broken multipart body ends with the last whole field, as under PHP.
pub(super) async fn read(kind: &str, body: Bytes, max_input_vars: usize) -> Php {
    let Ok(boundary) = multer::parse_boundary(kind) else {
        return parse_form(&body, max_input_vars);
    };
    let whole = futures::stream::iter([Ok::<_, std::convert::Infallible>(body)]);
    let mut parts = multer::Multipart::new(whole, boundary);
    let mut pairs = Vec::new();
    while let Ok(Some(part)) = parts.next_field().await {
        let name = part.name().map(str::to_owned);
        let is_file = part.file_name().is_some();
        let (Some(name), Ok(text)) = (name, part.text().await) else {
            break;
        };
        if !is_file {
            pairs.push((name, text));
        }
    }
    from_pairs(pairs, max_input_vars)
}
