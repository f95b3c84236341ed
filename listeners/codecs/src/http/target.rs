//! Parses request targets in their four forms (RFC 9112 §3.2).

use std::borrow::Cow;

use memchr::memchr;
use portcullis_rules::request::FieldValue;

use super::path::normalise;

/// Why a target cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetError {
    /// A forbidden byte: CTL, space or `#` (RFC 9112 §3.2).
    Byte,
    /// None of the four forms, or one the method does not go with (RFC 9112 §3.2).
    Form,
    /// The authority carries user information (RFC 9110 §4.2.4).
    UserInfo,
    /// The authority is none.
    Authority,
}

/// The target of a request (RFC 9112 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    /// `/path?query`.
    Origin(&'a [u8]),
    /// `http://authority/path?query`; the path may be empty.
    Absolute {
        authority: &'a [u8],
        /// Of the scheme.
        default_port: &'a [u8],
        path: &'a [u8],
        /// The method is OPTIONS.
        options: bool,
    },
    /// `host:port`, for CONNECT.
    Authority(&'a [u8]),
    /// `*`, for OPTIONS.
    Asterisk,
}

impl<'a> Target<'a> {
    /// Reads a target.
    pub(crate) fn parse(method: &[u8], target: &'a [u8]) -> Result<Self, TargetError> {
        if !target.iter().fold(true, |fine, byte| fine & TARGET[usize::from(*byte)]) {
            return Err(TargetError::Byte);
        }
        match target {
            _ if method == b"CONNECT" => {
                let port = check_authority(target)?;
                if port.is_none_or(<[u8]>::is_empty) { Err(TargetError::Form) } else { Ok(Self::Authority(target)) }
            }
            [b'/', ..] => Ok(Self::Origin(target)),
            b"*" if method == b"OPTIONS" => Ok(Self::Asterisk),
            _ => Self::absolute(method, target),
        }
    }

    fn absolute(method: &[u8], target: &'a [u8]) -> Result<Self, TargetError> {
        let schemes: [(&[u8], &[u8]); 2] = [(b"http://", b"80"), (b"https://", b"443")];
        let found = schemes.into_iter().find_map(|(scheme, port)| {
            let (head, rest) = target.split_at_checked(scheme.len())?;
            head.eq_ignore_ascii_case(scheme).then_some((rest, port))
        });
        let (rest, default_port) = found.ok_or(TargetError::Form)?;
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        check_authority(authority)?;
        let options = method == b"OPTIONS";
        Ok(Self::Absolute { authority, default_port, path, options })
    }

    /// The authority the target names.
    pub(crate) fn authority(self) -> Option<&'a [u8]> {
        match self {
            Self::Absolute { authority, .. } | Self::Authority(authority) => Some(authority),
            Self::Origin(_) | Self::Asterisk => None,
        }
    }

    /// Whether Host names the authority of the target (RFC 9112 §3.2.2): hosts ignore case, the scheme's port may be
    /// left out (RFC 9110 §4.2.3). CONNECT has no scheme; many clients leave its port out of Host.
    pub(crate) fn agrees_with(self, host: &[u8]) -> bool {
        let (authority, default_port) = match self {
            Self::Origin(_) | Self::Asterisk => return true,
            Self::Absolute { authority, default_port, .. } => (authority, default_port),
            Self::Authority(authority) => (authority, split_port(authority).1.unwrap_or_default()),
        };
        let parts = |text| {
            let (name, port) = split_port(text);
            (name, port.filter(|port| !port.is_empty()).unwrap_or(default_port))
        };
        let ((name, port), (other, other_port)) = (parts(authority), parts(host));
        name.eq_ignore_ascii_case(other) && port == other_port
    }

    /// Path and query as the client sent them.
    pub(crate) fn path(self) -> Option<Cow<'a, [u8]>> {
        match self {
            Self::Origin(path) => Some(Cow::Borrowed(path)),
            Self::Absolute { path: [], .. } => Some(Cow::Borrowed(b"/")),
            Self::Absolute { path: path @ [b'/', ..], .. } => Some(Cow::Borrowed(path)),
            Self::Absolute { path, .. } => Some(Cow::Owned([b"/", path].concat())),
            Self::Asterisk => Some(Cow::Borrowed(b"*")),
            Self::Authority(_) => None,
        }
    }

    /// Path and query in normal form.
    pub(crate) fn normal_path(self) -> FieldValue<'a> {
        // `OPTIONS http://host` asks for `*`, of which the path `/` makes another resource (RFC 9112 §3.2.4).
        if matches!(self, Self::Absolute { path: [], options: true, .. }) {
            return FieldValue::Ambiguous("options_without_path");
        }
        match self.path() {
            None => FieldValue::Absent,
            Some(Cow::Borrowed(path)) => normalise(path),
            Some(Cow::Owned(path)) => match normalise(&path) {
                FieldValue::Value(value) => FieldValue::Value(Cow::Owned(value.into_owned())),
                FieldValue::Ambiguous(kind) => FieldValue::Ambiguous(kind),
                FieldValue::Absent => FieldValue::Absent,
            },
        }
    }
}

/// Bytes of a target: printable ASCII without `#`, and, as clients send them, bytes outside ASCII. Of these, and of a
/// backslash, no framing depends; a path that has them is ambiguous.
static TARGET: [bool; 256] = {
    let mut table = [true; 256];
    let mut byte = 0;
    while byte <= b' ' as usize {
        table[byte] = false;
        byte += 1;
    }
    table[0x7f] = false;
    table[b'#' as usize] = false;
    table
};

/// Checks `host [ ":" port ]`, not empty, without user information (RFC 9110 §4.2.4, RFC 3986 §3.2), and finds the port.
pub(crate) fn check_authority(authority: &[u8]) -> Result<Option<&[u8]>, TargetError> {
    if memchr(b'@', authority).is_some() {
        return Err(TargetError::UserInfo);
    }
    let (name, port) = split_port(authority);
    let name_is_fine = match name {
        [] => false,
        [b'[', address @ .., b']'] => address.iter().all(|byte| byte.is_ascii_alphanumeric() || b":.%".contains(byte)),
        _ => name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(byte)),
    };
    let port_is_fine = |port: &[u8]| port.len() <= 5 && port.iter().all(u8::is_ascii_digit);
    if name_is_fine && port.is_none_or(port_is_fine) { Ok(port) } else { Err(TargetError::Authority) }
}

/// Takes an authority apart at the colon in front of its port.
fn split_port(authority: &[u8]) -> (&[u8], Option<&[u8]>) {
    let after_address = authority.iter().rposition(|byte| *byte == b']').map_or(0, |end| end + 1);
    match memchr(b':', &authority[after_address..]) {
        None => (authority, None),
        Some(offset) => {
            let colon = after_address + offset;
            (&authority[..colon], Some(&authority[colon + 1..]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(path: &str) -> FieldValue<'static> {
        FieldValue::Value(Cow::Owned(path.as_bytes().to_vec()))
    }

    #[test]
    fn the_four_forms_and_nothing_else() {
        assert_eq!(Target::parse(b"GET", b"/a"), Ok(Target::Origin(b"/a")));
        assert_eq!(Target::parse(b"OPTIONS", b"*"), Ok(Target::Asterisk));
        assert_eq!(Target::parse(b"CONNECT", b"h:1"), Ok(Target::Authority(b"h:1")));
        let absolute = |options| Target::Absolute { authority: b"h:1", default_port: b"80", path: b"/a?b", options };
        assert_eq!(Target::parse(b"GET", b"HTTP://h:1/a?b"), Ok(absolute(false)));
        assert_eq!(Target::parse(b"OPTIONS", b"HTTP://h:1/a?b"), Ok(absolute(true)));
        for (method, target, violation) in [
            ("GET", "*", TargetError::Form),
            ("GET", "a/b", TargetError::Form),
            ("GET", "h:1", TargetError::Form),
            ("GET", "ftp://h/", TargetError::Form),
            ("GET", "http:///a", TargetError::Authority),
            ("GET", "http://u@h/", TargetError::UserInfo),
            ("CONNECT", "h", TargetError::Form),
            ("CONNECT", "h:", TargetError::Form),
            ("CONNECT", "/a", TargetError::Authority),
            ("GET", "/a#b", TargetError::Byte),
            ("GET", "http://h\\b/", TargetError::Authority),
            ("GET", "http://é/", TargetError::Authority),
            ("GET", "/a\x7f", TargetError::Byte),
            ("GET", "/a\tb", TargetError::Byte),
        ] {
            assert_eq!(Target::parse(method.as_bytes(), target.as_bytes()), Err(violation), "{method} {target}");
        }
    }

    #[test]
    fn host_agrees_with_the_target_as_far_as_case_and_the_schemes_port() {
        for (method, target, host, agree) in [
            ("GET", "http://h/", "h", true),
            ("GET", "http://H:80/", "h", true),
            ("GET", "http://h/", "h:80", true),
            ("GET", "http://h:/", "h", true),
            ("GET", "http://h:81/", "h", false),
            ("GET", "https://h/", "h:443", true),
            ("GET", "https://h:80/", "h", false),
            ("GET", "http://[::1]:80/", "[::1]", true),
            ("GET", "http://[::1]/", "[::2]", false),
            ("GET", "http://h/", "", false),
            ("CONNECT", "h:443", "H:443", true),
            ("CONNECT", "h:443", "h", true),
            ("CONNECT", "h:443", "h:80", false),
            ("CONNECT", "h:443", "g", false),
            ("GET", "/", "anything", true),
        ] {
            let target = Target::parse(method.as_bytes(), target.as_bytes()).unwrap();
            assert_eq!(target.agrees_with(host.as_bytes()), agree, "{target:?} {host}");
        }
    }

    #[test]
    fn an_authority_is_a_host_and_perhaps_a_port() {
        for fine in
            ["h", "app-service.test_app", "h:", "h:80", "1.2.3.4:65535", "[::1]", "[fe80::1%25eth0]:80", "a%20b"]
        {
            assert!(check_authority(fine.as_bytes()).is_ok(), "{fine}");
        }
        for bad in ["", ":80", "a:b", "a:1:2", "a:123456", "[::1", "::1", "[::1]x", "a,b", "a/b", "a b", "[", "]", "é"]
        {
            assert_eq!(check_authority(bad.as_bytes()), Err(TargetError::Authority), "{bad}");
        }
    }

    #[test]
    fn options_of_a_whole_server_has_no_path_to_compare() {
        let of = |method: &[u8], target| Target::parse(method, target).unwrap().normal_path();
        assert_eq!(of(b"OPTIONS", b"http://h"), FieldValue::Ambiguous("options_without_path"));
        assert_eq!(of(b"OPTIONS", b"http://h/"), value("/"));
        assert_eq!(of(b"OPTIONS", b"*"), value("*"));
        assert_eq!(of(b"GET", b"http://h"), value("/"));
        assert_eq!(of(b"GET", b"http://h?q"), value("/?q"));
    }
}
