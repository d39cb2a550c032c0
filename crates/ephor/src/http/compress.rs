//! Answers made smaller for who can read them so. Only what is whole in memory is: streams say each thing as it happens, and to hold one
//! back until there is enough to make smaller would be to say it late.

use crate::local::blocking;
use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write as _;

/// Below so many bytes an answer goes out in one packet either way.
const BYTES_MIN: u64 = 1_400;
/// Above so many bytes it is sent as it is: lists are cut into pages well below.
const BYTES_MAX: u64 = 16 << 20;
/// From so many bytes on it is made smaller beside those who wait for the network.
const BESIDE: u64 = 64 << 10;

/// Lets a request pass, and makes what comes back smaller.
pub(crate) async fn answer_smaller(request: Request, next: Next) -> Response {
    let can = reads_gzip(request.headers());
    let mut response = next.run(request).await;
    if !is_text(&response) {
        return response;
    }
    // Whoever keeps it has to know that another one may get another form.
    response.headers_mut().append(header::VARY, HeaderValue::from_static("accept-encoding"));
    let size = response.body().size_hint().exact();
    if !can || size.is_none_or(|bytes| !(BYTES_MIN..=BYTES_MAX).contains(&bytes)) {
        return response;
    }
    match smaller(response).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

/// Whether it is JSON or plain text that is whole: nothing that was made smaller already, no part of something, no stream.
fn is_text(response: &Response) -> bool {
    let headers = response.headers();
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    (kind.ends_with("json") || kind == "text/plain")
        && !headers.contains_key(header::CONTENT_ENCODING)
        && response.status() != StatusCode::PARTIAL_CONTENT
}

async fn smaller(response: Response) -> Result<Response, crate::api::ApiError> {
    let (mut head, body) = response.into_parts();
    let bytes = to_bytes(body, BYTES_MAX as usize).await.map_err(|error| {
        crate::api::ApiError::new(crate::api::Kind::Failed, "INTERNAL", format!("the answer could not be written: {error}"))
    })?;
    let packed = match bytes.len() as u64 > BESIDE {
        true => blocking(move || Ok(gzip(&bytes, Compression::fast()))).await?,
        false => gzip(&bytes, Compression::fast()),
    };
    head.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(packed.len()));
    Ok(Response::from_parts(head, Body::from(packed)))
}

/// Bytes as RFC 1952 packs them.
pub(super) fn gzip(bytes: &[u8], level: Compression) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), level);
    packed.write_all(bytes).and_then(|()| packed.finish()).expect("a vector takes whatever is written to it")
}

/// Whether somebody reads gzip, as their `Accept-Encoding` says (RFC 9110, 12.5.3); who says nothing gets what is.
pub(super) fn reads_gzip(headers: &HeaderMap) -> bool {
    let said = headers.get_all(header::ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    let (mut named, mut any) = (None, None);
    for part in said.flat_map(|text| text.split(',')) {
        let (coding, weight) = part.split_once(';').unwrap_or((part, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.trim().parse::<f32>().is_ok_and(|q| q <= 0.0));
        match coding.trim() {
            coding if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") => named = Some(!refused),
            "*" => any = Some(!refused),
            _ => {}
        }
    }
    named.or(any).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_gzip_says_so() {
        let reads = |said: &'static str| {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(said))]);
            reads_gzip(&headers)
        };
        for said in ["gzip", "br, GZIP;q=0.5", "deflate,gzip, br", "*", "*;q=0, gzip", "x-gzip"] {
            assert!(reads(said), "{said}");
        }
        for said in ["", "br", "identity", "gzip;q=0", "gzip; q=0.000, *", "*;q=0", "gzipped"] {
            assert!(!reads(said), "{said}");
        }
        assert!(!reads_gzip(&HeaderMap::new()));
    }
}
