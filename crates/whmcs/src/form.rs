//! Form encoding for PHP: explicit indexes, `1` and `0` for flags.

/// Fields of one call, without the credential.
#[derive(Clone, Default)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.0.push((name.to_owned(), value.to_string()));
        self
    }

    /// PHP treats any text except `0` as true, even `false`.
    pub(crate) fn flag(self, name: &str, on: bool) -> Self {
        self.set(name, u8::from(on))
    }

    /// One column of a line. Without the index PHP would keep only the last line.
    pub(crate) fn column(self, name: &str, index: usize, value: impl ToString) -> Self {
        self.set(&format!("{name}[{index}]"), value)
    }

    /// The fields, in order.
    pub(crate) fn fields(self) -> Vec<(String, String)> {
        self.0
    }

    pub(crate) fn encode(self, credential: &[(&str, &str)]) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(credential);
        form.extend_pairs(self.0);
        form.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_index() {
        let form = Form::new()
            .column("pid", 0, 5)
            .column("pid", 1, 7)
            .flag("noemail", false);
        assert_eq!(
            form.encode(&[("action", "AddOrder")]),
            "action=AddOrder&pid%5B0%5D=5&pid%5B1%5D=7&noemail=0"
        );
    }
}
