//! Calls of gRPC, as far as one that is refused has to be known.

/// How a call is carried, by the content type of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// In HTTP/2, its status in the trailers.
    Native,
    /// gRPC-Web: in any version of HTTP, its status at the end of the body, or in the head where there is no body.
    Web,
    /// The same, its body as base64.
    WebText,
}

impl Call {
    /// `PERMISSION_DENIED`, the status of a call that is refused.
    pub(crate) const DENIED: &'static str = "7";
    /// The message that goes with it. It holds nothing that would have to be percent-encoded.
    pub(crate) const MESSAGE: &'static str = "denied by network policy";

    /// Of a content type, with or without a format behind it.
    pub(crate) fn of(content_type: &[u8]) -> Option<Self> {
        let end = content_type.iter().position(|byte| b"+; \t".contains(byte)).unwrap_or(content_type.len());
        let kinds = [Self::Native, Self::Web, Self::WebText];
        kinds.into_iter().find(|kind| content_type[..end].eq_ignore_ascii_case(kind.content_type().as_bytes()))
    }

    /// The content type of its answer.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Native => "application/grpc",
            Self::Web => "application/grpc-web",
            Self::WebText => "application/grpc-web-text",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Call;

    #[test]
    fn calls_are_known_by_their_content_type() {
        for (content_type, wanted) in [
            ("application/grpc", Some(Call::Native)),
            ("application/grpc+proto", Some(Call::Native)),
            ("Application/gRPC; charset=x", Some(Call::Native)),
            ("application/grpc-web", Some(Call::Web)),
            ("application/grpc-web+proto", Some(Call::Web)),
            ("application/grpc-web-text+proto", Some(Call::WebText)),
            ("application/grpc-websocket", None),
            ("application/grpcx", None),
            ("application/json", None),
            ("", None),
        ] {
            assert_eq!(Call::of(content_type.as_bytes()), wanted, "{content_type}");
        }
    }
}
