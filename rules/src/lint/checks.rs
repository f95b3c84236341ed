//! All lint checks with their codes.

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; often meant.
    Info,
    /// Accepted, and most likely not what was meant.
    Warning,
    /// Refused, or certainly without the effect that it is written for.
    Error,
}

impl Severity {
    /// `info`, `warning` or `error`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One check.
#[derive(Debug, PartialEq, Eq)]
pub struct Check {
    /// Its code. It never gets another meaning.
    pub code: &'static str,
    /// Its name in words that join with `-`.
    pub name: &'static str,
    /// How much it weighs.
    pub severity: Severity,
    /// What it means, in one sentence.
    pub meaning: &'static str,
    /// What to write instead.
    pub remedy: &'static str,
}

/// A check by its code.
#[must_use]
pub fn check(code: &str) -> Option<&'static Check> {
    CHECKS.iter().find(|check| check.code == code)
}

macro_rules! checks {
    ($($code:ident $severity:ident $name:literal: $meaning:literal => $remedy:literal;)*) => {
        /// All checks, in the order of their codes.
        pub static CHECKS: &[Check] = &[$(Check {
            code: stringify!($code),
            name: $name,
            severity: Severity::$severity,
            meaning: $meaning,
            remedy: $remedy,
        }),*];
    };
}

checks! {
    PL001 Error "invalid-document":
        "The document cannot be read, or the policy is refused; it would not be in force."
        => "correct what the message names";
    PL002 Error "unknown-entity":
        "Cilium has no entity of this name and refuses the whole policy."
        => "select the DNS pods by labels (namespace kube-system, k8s-app: kube-dns), or switch on deviations.kubeDnsEntity";
    PL003 Warning "other-version":
        "The field belongs to older or newer versions of Cilium than the one this is compared with (1.20)."
        => "remove it, or keep it for nodes that know it only";
    PL004 Error "not-live":
        "The field is understood by the offline commands only; a node refuses the policy."
        => "leave it to Cilium, or write the policy without it and mind what that means";
    PL005 Warning "not-judged":
        "A node takes the policy, but does not hold live traffic to this part of it."
        => "let the layer-3/4 network of the node judge it";
    PL006 Error "name-twice":
        "Two documents give one resource: a node takes the first and refuses the other, and kubectl keeps the last."
        => "remove one of them, or give it another name";
    PL101 Warning "empty-element":
        "An empty element (`- {}`) selects nobody; it only switches default deny on."
        => "keep it where default deny is meant; otherwise name the peers that are meant";
    PL102 Warning "empty-list":
        "An empty list selects nothing, so the element never matches."
        => "fill the list with the peers that are meant; without its field the element would mean everybody";
    PL103 Warning "nothing-left-of-cidr":
        "The exceptions cover the whole range, so nothing of it is left."
        => "remove the item, or make its exceptions smaller";
    PL104 Warning "selects-nobody":
        "No endpoint can have such labels, or none of the given endpoints has them."
        => "compare the selector with the labels of the endpoints";
    PL105 Warning "duplicate":
        "An earlier element says the same for the same endpoints."
        => "remove this one";
    PL106 Warning "always-denied":
        "A deny rule covers everything that the element allows; deny always wins."
        => "remove the element, or make the deny rule narrower";
    PL107 Warning "address-as-name":
        "toFQDNs takes names. Clients do not look up an address by DNS, so this entry is never learned and selects nothing."
        => "write the address in toCIDR: ADDRESS/32";
    PL108 Warning "name-never-learnt":
        "Addresses of a name are learned from answers that a DNS rule allows; no DNS rule of these endpoints covers the name."
        => "allow DNS with rules.dns that match the name, or switch on deviations.namesWithoutDnsRule";
    PL109 Warning "default-deny-off":
        "If no rule switches default deny on, L7 rules report requests and refuse none."
        => "keep it where only showing is meant; to refuse what no rule allows, allow all that is needed first, then remove enableDefaultDeny";
    PL110 Warning "namespace-ignored":
        "A namespaced policy applies to its own namespace, whatever namespace its endpointSelector names."
        => "move the policy to that namespace, or write a CiliumClusterwideNetworkPolicy";
    PL111 Warning "cidr-of-endpoint":
        "CIDRs select addresses outside the cluster only, never a known endpoint."
        => "select the endpoint by its labels";
    PL112 Warning "dns-server-not-named":
        "A DNS rule next to toFQDNs allows queries to any server, and that server decides which addresses the names open."
        => "name the DNS server, with toEndpoints, toCIDR or toServices";
    PL113 Info "dns-without-tcp":
        "DNS is allowed over UDP only; an answer that does not fit there is asked for again over TCP."
        => "write protocol: ANY, or the port a second time with protocol: TCP";
    PL114 Warning "star-beside-name":
        "A star that is glued to a name takes names of others, too, that only end alike."
        => "write `*.` and the name for one label more, `**.` for any number, and the name itself as matchName";
    PL115 Warning "unknown-group":
        "No CIDR group that is given has this name, so it selects nobody; a deny rule then denies nobody."
        => "compare it with the names of the groups";
    PL201 Warning "l4-shadows-l7":
        "The rules of all policies are united: L7 rules do not restrict a peer that another rule allows at L4 without L7 rules."
        => "remove the L4 rule or make it narrower, or switch on deviations.l7BindsBesideL4";
    PL202 Warning "rule-subsumed":
        "A wider L7 rule for the same peers and ports allows all that this one does."
        => "remove this one, or the wider one if it is not meant";
    PL203 Warning "two-parsers":
        "Two L7 protocols on one port: Cilium refuses to merge them for one peer, and picks one by chance for several."
        => "give each protocol a port of its own";
    PL204 Warning "deny-with-conflict":
        "Policies for the same requests disagree on how to deny them; `reset` wins."
        => "write the same annotation on both, or remove one";
    PL205 Warning "http-on-tls-port":
        "Clients speak TLS on this port, which HTTP rules cannot read: every connection is refused."
        => "match the name with serverNames, or terminate TLS (terminatingTLS) in front of the rules";
    PL206 Warning "open-connections-conflict":
        "Policies for the same endpoints and direction disagree on open connections; `cut` wins, so none is kept."
        => "write the same portcullis.io/open-connections on all of them, or remove this one";
    PL207 Warning "names-made-void":
        "Rules are united: beside one that lets the whole world be reached on the same ports, names restrict nothing."
        => "remove the wider rule or give it other ports, if the names are to restrict; otherwise remove the names";
    PL208 Warning "port-of-service":
        "Policy is about the port of the endpoint that is reached, not about that of the service in front of it."
        => "write the port that the endpoints listen on (targetPort of the service)";
    PL301 Warning "glob":
        "The value is a regular expression: `*` repeats what stands before it, and braces are no alternatives."
        => "write `.*` for anything and `[^/]+` for one segment, and (a|b) for alternatives";
    PL302 Warning "host-dot":
        "A dot in a regular expression matches any character, so other hosts match too."
        => "escape it: `\\.`";
    PL303 Info "exact-path":
        "A path without regular expression matches itself only: neither a slash behind it nor a query string."
        => "append `(\\?.*)?` for query strings and `/?` for a slash, where they are meant";
    PL304 Info "get-without-head":
        "HEAD is a separate method; health checks and caches use it where GET is allowed."
        => "write method: GET|HEAD if HEAD is meant too";
    PL305 Warning "broken-regex":
        "Cilium accepts a host that is not a valid regular expression, but then the rule matches nothing."
        => "write a regular expression of RE2's syntax";
    PL306 Warning "regex-too-large":
        "The regular expression is over its budget of memory, so the rule matches nothing."
        => "use smaller repetition counts";
    PL307 Warning "never-matches":
        "No request can have such a value."
        => "write methods in capitals, paths from `/`, and hosts without scheme and path";
    PL308 Warning "question-mark":
        "A question mark makes the character before it optional; it does not begin a query string."
        => "escape it: `\\?`";
    PL309 Info "host-without-port":
        "Clients send the port with the host if it is not the default port, and the whole value must match."
        => "append `(:[0-9]+)?`";
    PL310 Warning "opens-tunnel":
        "After a successful CONNECT or a switch to another protocol, bytes flow both ways and are not judged."
        => "remove it unless you mean such a tunnel; then keep it in a rule of its own, for the hosts and peers that need it";
    PL311 Info "matches-connect":
        "A method pattern that matches CONNECT among others does not allow it: a tunnel needs a rule that lists CONNECT."
        => "list the methods you mean: GET|HEAD|POST";
    PL312 Warning "header-is-no-pattern":
        "The value of a header is compared as a whole: neither stars nor regular expressions mean anything there."
        => "write the whole value, or the name of the header alone for any value";
    PL401 Info "any-group":
        "A Kafka rule with topics lets requests about groups pass, whichever group they name."
        => "add group, or groups with a prefix or pattern";
    PL402 Warning "any-kind":
        "A Kafka rule with topics, groups or transactions restricts only requests that name some; without a kind it lets all others pass."
        => "add role, operation or apiKey";
    PL403 Info "pattern-subscription":
        "The broker resolves a subscription by regular expression (KIP-848), so no Kafka rule with topics allows it."
        => "subscribe by names, or allow apiKey: consumergroupheartbeat with a group and without topics, and let the broker's ACLs decide";
    PL404 Warning "brokers-locked-out":
        "Kafka brokers replicate over the port of their clients; no rule allows the selected endpoints to do so."
        => "allow them among each other: fromEndpoints with their own labels, and role: broker";
    PL405 Warning "impossible-request":
        "No Kafka request has such a kind and version."
        => "write a version that the kind has, or leave it out";
    PL406 Warning "without-effect":
        "None of the requests that a Kafka rule is for can name what this restricts."
        => "remove it, or name other kinds of requests";
}

#[cfg(test)]
mod tests {
    use super::CHECKS;

    #[test]
    fn codes_and_names_are_in_order_and_unique() {
        assert!(CHECKS.is_sorted_by(|a, b| a.code < b.code));
        let mut names: Vec<_> = CHECKS.iter().map(|check| check.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CHECKS.len());
    }

    #[test]
    fn sentences_end_and_remedies_do_not() {
        for check in CHECKS {
            assert!(check.meaning.ends_with('.'), "{}", check.code);
            assert!(!check.remedy.ends_with('.'), "{}", check.code);
        }
    }
}
