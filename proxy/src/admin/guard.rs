//! Decides which clients may ask the admin endpoints for what.

use std::net::IpAddr;

use hyper::{
    Method, Request, StatusCode,
    header::{CONTENT_TYPE, HOST, HeaderValue, ORIGIN},
};

use crate::admin::listener::AdminPeer;

/// Says who asks, where a browser does it (Fetch Metadata, W3C).
const SEC_FETCH_SITE: &str = "sec-fetch-site";
/// What a form of any site may send without asking (Fetch standard, "CORS-safelisted request-header").
const FORMS: [&str; 3] = ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"];

/// Refuses what a page of another site may have sent, and by TCP what is not for everybody who can reach the address.
///
/// # Errors
/// The status and why.
pub(super) fn check<B>(
    request: &Request<B>,
    way: AdminPeer,
    everything_by_tcp: bool,
) -> Result<(), (StatusCode, &'static str)> {
    if let AdminPeer::Tcp(local) = way
        && local.ip().is_loopback()
        && !names_loopback(request)
    {
        return Err((
            StatusCode::MISDIRECTED_REQUEST,
            "this is a loopback endpoint; ask for it by 127.0.0.1 or localhost\n",
        ));
    }
    let private = matches!(request.uri().path(), "/config_dump" | "/logging");
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    if matches!(way, AdminPeer::Tcp(_)) && private && !everything_by_tcp {
        return Err((
            StatusCode::FORBIDDEN,
            "only by the Unix socket of admin.address, or with admin.tcp: everything\n",
        ));
    }
    // No name of another site leads to a Unix socket.
    let by_name = matches!(way, AdminPeer::Tcp(_)) && !names_an_address(request);
    if (private || changes) && (is_of_a_page(request) || by_name) {
        return Err((StatusCode::FORBIDDEN, "not for pages of other sites\n"));
    }
    Ok(())
}

/// Whether a browser may have sent it on behalf of a page. Nothing here is a page, so none has a reason to.
fn is_of_a_page<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_ascii_lowercase();
    let by_a_site = headers.get(SEC_FETCH_SITE).map(text).is_some_and(|site| site != "none");
    let kind = headers.get(CONTENT_TYPE).map(text).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let by_a_form = *request.method() != Method::GET && FORMS.contains(&kind);
    headers.contains_key(ORIGIN) || by_a_site || by_a_form
}

/// Whether the request names this machine. A name of somebody else's that resolves to 127.0.0.1 would let a web page
/// read what is here (DNS rebinding).
fn names_loopback<B>(request: &Request<B>) -> bool {
    names(request, |name| name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()))
}

/// Whether the request names an address, which no name of somebody else's can be.
fn names_an_address<B>(request: &Request<B>) -> bool {
    names(request, |name| name.parse::<IpAddr>().is_ok())
}

/// Whether the host that a request names is one of those, or `localhost`. No browser leaves it out.
fn names<B>(request: &Request<B>, is_one: impl Fn(&str) -> bool) -> bool {
    let Some(host) = request.headers().get(HOST) else { return true };
    let Ok(host) = host.to_str() else { return false };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => host.split(':').next().unwrap_or(""),
    };
    name == "localhost" || is_one(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, path: &str, headers: &[(&str, &str)]) -> Request<()> {
        let builder = Request::builder().method(method).uri(path);
        headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value)).body(()).unwrap()
    }

    #[test]
    fn a_page_of_another_site_is_not_answered() {
        for (host, answered) in [
            ("127.0.0.1:9902", true),
            ("localhost:9902", true),
            ("[::1]:9902", true),
            ("localhost", true),
            ("", false),
            ("attacker.example:9902", false),
            ("10.0.0.1", false),
            ("[fd00::1]:9902", false),
            ("127.0.0.1.attacker.example", false),
        ] {
            assert_eq!(names_loopback(&asked("GET", "/metrics", &[("host", host)])), answered, "{host}");
        }
        assert!(names_loopback(&asked("GET", "/metrics", &[])));
    }

    #[test]
    fn what_is_private_or_changes_something_is_for_the_unix_socket_and_no_page() {
        let tcp = AdminPeer::Tcp("127.0.0.1:9902".parse().unwrap());
        let anywhere = AdminPeer::Tcp("192.0.2.1:9902".parse().unwrap());
        let local = ("host", "localhost");
        for (way, everything, method, path, headers, allowed) in [
            (tcp, false, "GET", "/metrics", vec![local], true),
            (tcp, false, "GET", "/config_dump", vec![local], false),
            (tcp, false, "GET", "/logging", vec![local], false),
            (tcp, false, "POST", "/logging", vec![local], false),
            (tcp, true, "GET", "/config_dump", vec![local], true),
            (tcp, true, "POST", "/logging", vec![local], true),
            (AdminPeer::Unix, false, "POST", "/logging", vec![("host", "localhost")], true),
            (AdminPeer::Unix, false, "GET", "/config_dump", vec![], true),
            (AdminPeer::Unix, false, "GET", "/config_dump", vec![("host", "admin")], true),
            (tcp, true, "POST", "/logging", vec![local, ("origin", "http://evil.example")], false),
            (tcp, true, "POST", "/logging", vec![local, ("origin", "null")], false),
            (tcp, true, "POST", "/logging", vec![local, ("origin", "http://localhost:9902")], false),
            (AdminPeer::Unix, false, "POST", "/logging", vec![("origin", "http://evil.example")], false),
            (tcp, true, "POST", "/logging", vec![local, ("sec-fetch-site", "cross-site")], false),
            (tcp, true, "POST", "/logging", vec![local, ("sec-fetch-site", "same-site")], false),
            (tcp, true, "POST", "/logging", vec![local, ("sec-fetch-site", "none")], true),
            (tcp, true, "POST", "/logging", vec![local, ("content-type", "text/plain; charset=utf-8")], false),
            (tcp, true, "POST", "/logging", vec![local, ("content-type", "multipart/form-data; boundary=x")], false),
            (tcp, true, "POST", "/logging", vec![local, ("content-type", "application/json")], true),
            (tcp, true, "POST", "/logging", vec![("host", "evil.example")], false),
            (anywhere, true, "POST", "/logging", vec![("host", "evil.example:9902")], false),
            (anywhere, true, "GET", "/config_dump", vec![("host", "evil.example:9902")], false),
            (anywhere, true, "POST", "/logging", vec![("host", "192.0.2.1:9902")], true),
            (anywhere, false, "GET", "/metrics", vec![("host", "node-1.example:9902")], true),
        ] {
            let request = asked(method, path, &headers);
            let checked = check(&request, way, everything);
            assert_eq!(checked.is_ok(), allowed, "{way:?} {everything} {method} {path} {headers:?}: {checked:?}");
        }
    }
}
