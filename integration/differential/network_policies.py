#!/usr/bin/env python3
"""Questions about NetworkPolicy of Kubernetes beside CiliumNetworkPolicies, and the form in which their answers are kept.

    network_policies.py questions SEED COUNT > questions.jsonl
    network_policies.py record questions.jsonl answers.jsonl | gzip -9n > seed-N.jsonl.gz

An engine answers between the two: for each line of questions.jsonl one line with `id`, `expect`, `l34`, `l7` and `how`.
The same seed gives the same questions. A question that the engine cannot answer (`expect` is neither allow nor deny) stops
`record`: nothing is left out in silence.
"""

import json
import random
import sys

NAMESPACES = {"shop": {"team": "a", "stage": "prod"}, "data": {"team": "b", "stage": "prod"}, "edge": {"team": "a"}}
APPS = ["web", "api", "db"]
TIERS = ["front", "back"]
NAMED = {"http": 8080, "metrics": 9100, "pg": 5432}
PORTS = [53, 80, 443, 5432, 8080, 8081, 9100, 31000]
BLOCKS = {
    "192.0.2.0/24": ["192.0.2.0/25", "192.0.2.128/26", "192.0.2.7/32"],
    "198.51.100.0/22": ["198.51.101.0/24", "198.51.100.64/27"],
    "0.0.0.0/0": ["10.0.0.0/8", "192.0.2.0/24", "198.51.100.0/24"],
    "2001:db8::/32": ["2001:db8:1::/48", "2001:db8::7/128"],
    "::/0": ["2001:db8:1::/48"],
}
ADDRESSES = ["192.0.2.7", "192.0.2.9", "192.0.2.130", "192.0.2.200", "198.51.100.70", "198.51.101.1", "203.0.113.5",
             "2001:db8::7", "2001:db8:1::1", "2001:db8:2::1", "2a00::1"]
ENTITIES = ["host", "remote-node", "kube-apiserver", "health"]


class World:
    """One set of policies, and the questions about it."""

    def __init__(self, chance):
        self.chance = chance

    def some(self, choices, most):
        return self.chance.sample(choices, self.chance.randint(1, min(most, len(choices))))

    def is_likely(self, share):
        return self.chance.random() < share

    def expression(self, labels):
        key = self.chance.choice(list(labels))
        operator = self.chance.choice(["In", "NotIn", "Exists", "DoesNotExist"])
        expression = {"key": key, "operator": operator}
        if operator in ("In", "NotIn"):
            expression["values"] = self.some(labels[key], 2)
        return expression

    def selector(self, labels):
        """One that selects some of those that have such labels; sometimes everybody."""
        selector = {}
        if self.is_likely(0.6):
            key = self.chance.choice(list(labels))
            selector["matchLabels"] = {key: self.chance.choice(labels[key])}
        if self.is_likely(0.25):
            selector["matchExpressions"] = [self.expression(labels)]
        return selector

    def pods(self):
        labels = {"app": APPS, "tier": TIERS}
        if self.is_likely(0.05):
            labels["io.cilium.k8s.policy.cluster"] = ["default", "other"]
        return self.selector(labels)

    def namespaces(self):
        if self.is_likely(0.4):
            return {"matchLabels": {"kubernetes.io/metadata.name": self.chance.choice(list(NAMESPACES))}}
        return self.selector({"team": ["a", "b"], "stage": ["prod", "test"]})

    def peer(self):
        kind = self.chance.choice(["pods", "namespaces", "both", "block"])
        if kind == "block":
            cidr = self.chance.choice(list(BLOCKS))
            block = {"cidr": cidr}
            if self.is_likely(0.5):
                block["except"] = self.some(BLOCKS[cidr], 2)
            return {"ipBlock": block}
        peer = {}
        if kind in ("pods", "both"):
            peer["podSelector"] = self.pods()
        if kind in ("namespaces", "both"):
            peer["namespaceSelector"] = self.namespaces()
        return peer

    def port(self):
        port = {}
        if self.is_likely(0.7):
            port["protocol"] = self.chance.choice(["TCP", "TCP", "TCP", "UDP", "SCTP"])
        how = self.chance.random()
        if how < 0.5:
            port["port"] = self.chance.choice(PORTS)
        elif how < 0.7:
            port["port"] = self.chance.choice(list(NAMED))
        elif how < 0.9:
            port["port"] = self.chance.choice([1, 80, 5000, 8080, 30000])
            port["endPort"] = port["port"] + self.chance.choice([0, 1, 1000, 2767])
        return port

    def rule(self, peers):
        rule = {}
        if self.is_likely(0.8):
            rule[peers] = [self.peer() for _ in range(self.chance.randint(0, 3))]
        if self.is_likely(0.6):
            rule["ports"] = [self.port() for _ in range(self.chance.randint(0, 3))]
        return rule

    def network_policy(self, number):
        spec = {"podSelector": self.pods() if self.is_likely(0.7) else {}}
        types = self.chance.choice([None, [], ["Ingress"], ["Egress"], ["Ingress", "Egress"]])
        if types is not None:
            spec["policyTypes"] = types
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            if self.is_likely(0.6):
                spec[direction] = [self.rule(peers) for _ in range(self.chance.randint(0, 2))]
        metadata = {"name": f"np-{number}", "namespace": self.chance.choice(["shop", "shop", "data"])}
        return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}

    def cilium_policy(self, number):
        """One that shares peers and ports with those of Kubernetes: union, deny, and L7 beside L4."""
        direction = self.chance.choice(["ingress", "egress"])
        deny = self.is_likely(0.2)
        preposition = "from" if direction == "ingress" else "to"
        entry = self.chance.choice([
            {f"{preposition}Endpoints": [{"matchLabels": {"app": self.chance.choice(APPS)}}]},
            {f"{preposition}Entities": [self.chance.choice(["cluster", "world", "all"])]},
            {f"{preposition}CIDR": ["192.0.2.0/24"]},
        ])
        if self.is_likely(0.8):
            element = {"ports": [{"port": str(self.chance.choice([80, 8080, 443])), "protocol": "TCP"}]}
            if not deny and self.is_likely(0.8):
                element["rules"] = {"http": [{"method": "GET", "path": "/a.*"}]}
            entry["toPorts"] = [element]
        spec = {"endpointSelector": {"matchLabels": {"app": self.chance.choice(APPS)}},
                direction + ("Deny" if deny else ""): [entry]}
        # Names of the two kinds are apart.
        metadata = {"name": f"np-{number}", "namespace": "shop"}
        return {"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": metadata, "spec": spec}

    def pod(self):
        labels = {"app": self.chance.choice(APPS)}
        if self.is_likely(0.7):
            labels["tier"] = self.chance.choice(TIERS)
        pod = {"namespace": self.chance.choice(list(NAMESPACES)), "labels": labels}
        if self.is_likely(0.6):
            pod["named_ports"] = {name: NAMED[name] for name in self.some(list(NAMED), 2)}
        return pod

    def far_end(self):
        kind = self.chance.random()
        if kind < 0.6:
            return {"pod": self.pod()}
        if kind < 0.9:
            return {"ip": self.chance.choice(ADDRESSES)}
        return {"entity": self.chance.choice(ENTITIES)}

    def question(self):
        subject = self.pod()
        if self.is_likely(0.8):
            subject["namespace"] = "shop"
        question = {
            "subject": subject,
            "dir": self.chance.choice(["ingress", "egress"]),
            "peer": self.far_end(),
            "port": self.chance.choice(PORTS + [80, 8080]),
            "proto": self.chance.choice(["TCP", "TCP", "TCP", "UDP", "SCTP"]),
            "namespaces": NAMESPACES,
        }
        if question["proto"] == "TCP":
            question["request"] = {"method": self.chance.choice(["GET", "POST"]), "path": self.chance.choice(["/a1", "/b"]),
                                   "authority": "x.example"}
        return question


def questions(seed, count):
    chance = random.Random(seed)
    number = 0
    while number < count:
        world = World(chance)
        policies = [world.network_policy(at) for at in range(chance.randint(1, 2))]
        policies += [world.cilium_policy(at) for at in range(chance.randint(0, 3))]
        for _ in range(min(10, count - number)):
            number += 1
            yield {"id": f"np-{seed}-{number}", "area": "l3l4", "policy": json.dumps(policies), "input": world.question()}


def record(asked, answered):
    """Groups of questions that share their policies, with the answers."""
    group = None
    for question, answer in zip(map(json.loads, asked), map(json.loads, answered), strict=True):
        if question["id"] != answer["id"] or answer["expect"] not in ("allow", "deny"):
            sys.exit(f"no answer to {question['id']}: {answer}")
        policies = json.loads(question["policy"])
        if group is None or group["policies"] != policies:
            if group:
                yield group
            group = {"policies": policies, "namespaces": question["input"]["namespaces"], "cases": []}
        told = {key: answer[key] or None for key in ("l34", "l7", "how") if key in answer}
        told_input = {key: value for key, value in question["input"].items() if key != "namespaces"}
        group["cases"].append({"id": question["id"], "input": told_input, "expect": answer["expect"], **told})
    if group:
        yield group


def main(arguments):
    match arguments:
        case ["questions", seed, count]:
            lines = questions(int(seed), int(count))
        case ["record", asked, answered]:
            with open(asked, encoding="utf-8") as one, open(answered, encoding="utf-8") as other:
                lines = list(record(one, other))
        case _:
            sys.exit(__doc__)
    for line in lines:
        print(json.dumps(line, separators=(",", ":")))


if __name__ == "__main__":
    main(sys.argv[1:])
