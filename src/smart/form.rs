//! `application/x-www-form-urlencoded`, read strictly: what could be read in two ways is refused.

use std::collections::HashMap;

/// A form's parameters. Empty values count as not sent (RFC 6749 section 3.2).
pub struct Form(HashMap<String, String>);

/// A token request is small.
const MOST_BYTES: usize = 64 * 1024;
const MOST_PARAMETERS: usize = 64;

impl Form {
    /// Reads a body; the error says what is wrong with it.
    pub fn parse(body: &[u8]) -> Result<Form, &'static str> {
        if body.len() > MOST_BYTES {
            return Err("the form is too large");
        }
        let text = std::str::from_utf8(body).map_err(|_| "the form is not UTF-8")?;
        let mut parameters = HashMap::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let broken = "the form is not well encoded";
            let name = decode(name).ok_or(broken)?;
            let value = decode(value).ok_or(broken)?;
            if parameters.insert(name, value).is_some() {
                return Err("a parameter occurs twice");
            }
            if parameters.len() > MOST_PARAMETERS {
                return Err("too many parameters");
            }
        }
        Ok(Form(parameters))
    }

    /// Takes a parameter that was sent with a value.
    pub fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).filter(|value| !value.is_empty())
    }
}

/// Percent-decoding that refuses what is not well encoded.
pub fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_one_way_or_not_at_all() {
        let mut form = Form::parse(b"scope=system%2F*.rs+openid&empty=&a").unwrap();
        assert_eq!(form.take("scope").as_deref(), Some("system/*.rs openid"));
        assert_eq!(form.take("empty"), None);
        assert!(Form::parse(b"a=1&a=2").is_err());
        assert!(Form::parse(b"a=1&%61=2").is_err());
        assert!(Form::parse(b"a=%zz").is_err());
        assert!(Form::parse(b"a=%f").is_err());
        assert!(Form::parse(b"a=%ff").is_err());
        assert!(Form::parse(&[b'a'; MOST_BYTES + 1]).is_err());
    }
}
