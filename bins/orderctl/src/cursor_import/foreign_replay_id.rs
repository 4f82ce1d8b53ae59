//! Replay ids as other bridges write them.

use base64::Engine;
use base64::alphabet::{self, Alphabet};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use domain::key::ReplayId;

/// Largest file that can hold nothing but a replay id.
pub(super) const MAX_FILE: u64 = 256;
/// A position of the bus, without and with the two bytes that Salesforce appends.
const LENGTHS: [usize; 2] = [8, 10];

const FIX: &str = "Give 8 or 10 bytes as hexadecimal (16 or 20 digits), base64, or a decimal number; hex:, base64: or decimal: before it says which";

/// Parses a replay id in hexadecimal, base64 or decimal.
///
/// Sixteen or twenty digits that start with 0 are hexadecimal: nobody pads decimal numbers. Without
/// the 0 they may be either.
///
/// # Errors
/// It is none of them, or may be two.
pub(crate) fn parse(text: &str) -> Result<ReplayId, String> {
    let text = text.trim();
    // Redis's command line quotes what it prints.
    let text = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text);
    if let Some((form, text)) = text.split_once(':') {
        let bytes = match form {
            "hex" => of_hex(text),
            "base64" => of_base64(text),
            "decimal" => of_decimal(text),
            _ => None,
        };
        return checked(bytes);
    }
    if matches!(text, "-1" | "-2") {
        return Err(format!(
            "{text} is a preset of the Streaming API and no position. Set SF_EVENTS_REPLAY to LATEST or ALL instead"
        ));
    }
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let hex = of_hex(text);
    if digits && hex.is_some() && !text.starts_with('0') {
        return Err(format!(
            "`{text}` may be hexadecimal or decimal. Write hex:{text} or decimal:{text}"
        ));
    }
    let decimal = || if digits { of_decimal(text) } else { None };
    checked(hex.or_else(decimal).or_else(|| match digits {
        true => None,
        false => of_base64(text),
    }))
}

/// Parses the contents of a file: one of the texts, or the bytes themselves.
///
/// # Errors
/// As [`parse`].
pub(super) fn of_file(bytes: &[u8]) -> Result<ReplayId, String> {
    let is_text = bytes
        .iter()
        .all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
    match std::str::from_utf8(bytes) {
        Ok(text) if is_text => parse(text),
        _ => checked(Some(bytes.to_vec())),
    }
}

/// The position of a replay id, as other bridges print it.
pub(super) fn position(replay_id: &ReplayId) -> Option<u64> {
    let bytes = replay_id.as_bytes();
    LENGTHS.contains(&bytes.len()).then_some(())?;
    Some(u64::from_be_bytes(*bytes.first_chunk()?))
}

fn checked(bytes: Option<Vec<u8>>) -> Result<ReplayId, String> {
    let replay_id = bytes
        .filter(|bytes| LENGTHS.contains(&bytes.len()))
        .and_then(ReplayId::new)
        .ok_or_else(|| format!("not a replay id. {FIX}"))?;
    match position(&replay_id) {
        Some(0) => Err(
            "position 0 was never issued. Set SF_EVENTS_REPLAY=ALL to read all retained events"
                .to_owned(),
        ),
        _ => Ok(replay_id),
    }
}

fn of_hex(text: &str) -> Option<Vec<u8>> {
    let text = text.strip_prefix("0x").unwrap_or(text);
    let bytes = hex::decode(text).ok()?;
    LENGTHS.contains(&bytes.len()).then_some(bytes)
}

fn of_decimal(text: &str) -> Option<Vec<u8>> {
    let position: u64 = text.parse().ok()?;
    Some(position.to_be_bytes().to_vec())
}

/// Both alphabets, with and without padding.
fn of_base64(text: &str) -> Option<Vec<u8>> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let decode = |alphabet: &Alphabet| GeneralPurpose::new(alphabet, config).decode(text).ok();
    decode(&alphabet::STANDARD).or_else(|| decode(&alphabet::URL_SAFE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSITION: [u8; 8] = [0, 0, 0, 0, 0, 0xf0, 0, 0x10];
    const ON_THE_WIRE: [u8; 10] = [0, 0, 0, 0, 0, 0xf0, 0, 0x10, 0, 0];

    #[test]
    fn every_form_gives_the_same_bytes() {
        for text in [
            "0000000000f00010",
            "0x0000000000F00010",
            "hex:0000000000f00010",
            "AAAAAADwABA=",
            "AAAAAADwABA",
            "base64:AAAAAADwABA=",
            "15728656",
            "\"15728656\"\n",
            "decimal:15728656",
        ] {
            assert_eq!(parse(text).unwrap().as_bytes(), POSITION, "{text}");
            assert_eq!(of_file(text.as_bytes()).unwrap().as_bytes(), POSITION);
        }
        for text in ["0000000000f000100000", "AAAAAADwABAAAA==", "AAAAAADwABAAAA"] {
            assert_eq!(parse(text).unwrap().as_bytes(), ON_THE_WIRE, "{text}");
        }
        for bytes in [&POSITION[..], &ON_THE_WIRE] {
            assert_eq!(of_file(bytes).unwrap().as_bytes(), bytes);
            assert_eq!(position(&of_file(bytes).unwrap()), Some(15_728_656));
        }
    }

    #[test]
    fn digits_that_may_be_two_numbers_need_a_prefix() {
        let padded = parse("0000000000123456").unwrap();
        assert_eq!(position(&padded), Some(0x0012_3456));
        let text = parse("1234567890123456").unwrap_err();
        assert!(text.contains("decimal:1234567890123456"), "{text}");
        let decimal = parse("decimal:1234567890123456").unwrap();
        assert_eq!(position(&decimal), Some(1_234_567_890_123_456));
    }

    #[test]
    fn what_is_no_position_is_refused() {
        for text in [
            "",
            "0",
            "-1",
            "-2",
            "-3",
            "xyz",
            "00ff",
            "oct:7",
            "99999999999999999999999",
            "{\"replayId\":7}",
            "0000000000000000",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(of_file(&[0xff; 9]).is_err());
        assert!(parse("-2").unwrap_err().contains("SF_EVENTS_REPLAY"));
    }
}
