"""What deploy/check does with rendered manifests. Each command reads the file it
is given and writes to standard output; `equal` fails where the two differ."""

import difflib
import json
import sys

import yaml

# What Helm writes about itself, and nothing else does.
HELMS_OWN = ("helm.sh/chart", "app.kubernetes.io/managed-by")

CUSTOM = {
    "Certificate": "@kubernetes-models/cert-manager/cert-manager.io/v1",
    "CiliumNetworkPolicy": "@kubernetes-models/cilium/cilium.io/v2",
    "GRPCRoute": "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1",
    "PodMonitor": "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1",
    "PrometheusRule": "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1",
    "ScaledObject": "@kubernetes-models/keda/keda.sh/v1alpha1",
    "ServiceMonitor": "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1",
    "VerticalPodAutoscaler": "@kubernetes-models/autoscaler/autoscaling.k8s.io/v1",
}


class Loader(yaml.CSafeLoader):
    """Refuses a map that has a name twice, as server-side apply does."""

    def construct_mapping(self, node, deep=False):
        names = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = sorted({str(name) for name in names if names.count(name) > 1})
        if twice:
            sys.exit(f"manifests: {', '.join(twice)} is there twice{node.start_mark}")
        return super().construct_mapping(node, deep)


def documents(path):
    with open(path, encoding="utf-8") as file:
        return [document for document in yaml.load_all(file, Loader) if document]


def without_labels(value):
    """The same without the labels that only Helm writes."""
    if isinstance(value, dict):
        return {key: without_labels(item) for key, item in value.items() if key not in HELMS_OWN}
    if isinstance(value, list):
        return [without_labels(item) for item in value]
    return value


def without_helm(document):
    """The document without Helm's labels, and without a namespace: with
    kustomize, the person who applies it chooses one."""
    document = without_labels(document)
    document["metadata"].pop("namespace", None)
    return document


def in_order(path):
    """Every document as text, in an order that does not depend on the file's."""
    plain = [without_helm(document) for document in documents(path)]
    plain.sort(key=lambda document: (document["kind"], document["metadata"]["name"]))
    return yaml.safe_dump_all(plain, sort_keys=True).splitlines(keepends=True)


def builtin(path):
    """The documents of kinds that Kubernetes itself knows."""
    kept = [document for document in documents(path) if document["kind"] not in CUSTOM]
    yaml.safe_dump_all(kept, sys.stdout)


def plain(path):
    """The documents as kustomize has them: without Helm's labels."""
    yaml.safe_dump_all(map(without_helm, documents(path)), sys.stdout, sort_keys=False)


def rules(path):
    """The spec of each PrometheusRule, which is a file of rules."""
    for document in documents(path):
        if document["kind"] == "PrometheusRule":
            yaml.safe_dump(document["spec"], sys.stdout)


def typescript(*paths):
    """A program that compiles only where each custom resource is of its type: all
    fields known, none missing."""
    for kind, module in CUSTOM.items():
        print(f'import type {{ I{kind} }} from "{module}";')
    count = 0
    for path in paths:
        for document in documents(path):
            if document["kind"] in CUSTOM:
                count += 1
                print(f"export const r{count}: I{document['kind']} = {json.dumps(document)};")


def equal(left, right):
    """Fails, with the difference, where two files do not say the same."""
    found = list(difflib.unified_diff(in_order(left), in_order(right), left, right))
    sys.stdout.writelines(found)
    sys.exit(1 if found else 0)


COMMANDS = {command.__name__: command for command in (builtin, plain, rules, typescript, equal)}
COMMANDS[sys.argv[1]](*sys.argv[2:])
