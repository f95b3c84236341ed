//! gRPC calls: how rules name service and method, and how a request is recognised as gRPC, so that a refusal can be a
//! gRPC status.

use portcullis_rules::{
    policy::Matcher,
    schema::{FieldIndex, Shorthand, ShorthandEntry},
};

use crate::fact::Facts;

/// Service and method of a call, for `method` and `path`: `POST`, and `/package.Service/Method` (gRPC over HTTP/2,
/// "Requests"). Not Cilium's.
pub(super) const SHORTHAND: Shorthand = Shorthand {
    name: "grpc",
    fields: &[FieldIndex(super::METHOD), FieldIndex(super::PATH)],
    entries: &[
        ShorthandEntry {
            name: "service",
            required: true,
            remedy: "write service: package.Service, as the .proto file has it",
        },
        ShorthandEntry {
            name: "method",
            required: false,
            remedy: "write method: Name, as the .proto file has it, or leave it out for every method",
        },
    ],
    read: |entries| {
        let entry = |number: usize| entries.get(number).copied().flatten();
        let service = entry(0).unwrap_or_default();
        if !service.split('.').all(is_identifier) {
            return Err((0, format!("{service:?} is no name of a service")));
        }
        let escaped = service.replace('.', r"\.");
        let (pattern, shown) = match entry(1) {
            None => (format!("/{escaped}/[^/]+"), format!("/{service}/*")),
            Some(method) if is_identifier(method) => (format!("/{escaped}/{method}"), format!("/{service}/{method}")),
            Some(method) => return Err((1, format!("{method:?} is no name of a method"))),
        };
        Ok(vec![(Matcher::Regex("POST".to_owned()), "POST".to_owned()), (Matcher::Regex(pattern), shown)])
    },
};

/// Whether a text is a name of Protocol Buffers.
fn is_identifier(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.bytes().all(is_word) && text.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

/// What an answer says of the status of a call, as records have it.
pub(crate) fn facts(status: Option<u32>) -> Facts {
    status.map_or(Facts::NONE, |status| Facts::NONE.with("grpc_status", status.into()))
}

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
    use portcullis_rules::policy::Matcher;

    use super::{Call, SHORTHAND};

    #[test]
    fn service_and_method_are_a_path_by_which_nothing_else_is_meant() {
        let read = |service, method| (SHORTHAND.read)(&[Some(service), method]);
        let means = |pattern: &str, shown: &str| {
            let matcher = |text: &str| Matcher::Regex(text.to_owned());
            Ok(vec![(matcher("POST"), "POST".to_owned()), (matcher(pattern), shown.to_owned())])
        };
        assert_eq!(read("shop.v1.Cart", Some("Add")), means(r"/shop\.v1\.Cart/Add", "/shop.v1.Cart/Add"));
        assert_eq!(read("Cart", None), means("/Cart/[^/]+", "/Cart/*"));
        for service in ["", ".", "shop.", ".shop.Cart", "shop..Cart", "shop/Cart", "shop.*", "1shop.Cart", "shöp.Cart"]
        {
            assert_eq!(read(service, None), Err((0, format!("{service:?} is no name of a service"))));
        }
        for method in ["", "*", ".*", "Add|Remove", "Add/", "shop.Add"] {
            assert_eq!(read("Cart", Some(method)), Err((1, format!("{method:?} is no name of a method"))));
        }
    }

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
