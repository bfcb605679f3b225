"""Relabelling, rule by rule, as Prometheus documents it; through the file, as people write it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from workbench.ingest.scrape.blocks import Block, read_root
from workbench.ingest.scrape.read import read_rule
from workbench.ingest.scrape.relabel import Rule, relabel

START = {"a": "foo", "b": "bar", "c": "baz", "__meta_zone": "eu"}


def rules(tmp_path: Path, documents: list[dict]) -> list[Rule]:
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"rules": documents}))
    faults: list = []
    root = read_root(file, faults)
    assert isinstance(root, Block)
    found = [read_rule(block) for block in root.blocks("rules")]
    assert not faults
    return [rule for rule in found if rule]


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ([], START),
        ([{"source_labels": ["a"], "target_label": "d"}], START | {"d": "foo"}),
        ([{"source_labels": ["a", "b"], "regex": "f(.*);(.*)r", "target_label": "a", "replacement": "b${1}${2}m"}],
         START | {"a": "boobam"}),
        ([{"source_labels": ["a"], "regex": "oo", "target_label": "d"}], START),
        ([{"source_labels": ["a"], "regex": "f(oo)", "target_label": "d", "replacement": "$1x"}], START),
        ([{"source_labels": ["a"], "regex": "(?P<rest>.*)", "target_label": "d", "replacement": "${rest}$$"}],
         START | {"d": "foo$"}),
        ([{"source_labels": ["a"], "regex": "(f).*", "target_label": "${1}_x", "replacement": "y"}],
         START | {"f_x": "y"}),
        ([{"target_label": "a", "replacement": ""}], {k: v for k, v in START.items() if k != "a"}),
        ([{"source_labels": ["a"], "regex": "fo+", "action": "drop"}], None),
        ([{"source_labels": ["a"], "regex": "fo", "action": "drop"}], START),
        ([{"source_labels": ["a"], "regex": "fo+", "action": "KEEP"}], START),
        ([{"source_labels": ["missing"], "regex": "x", "action": "keep"}], None),
        ([{"source_labels": ["a"], "target_label": "a", "action": "keepequal"}], START),
        ([{"source_labels": ["a"], "target_label": "b", "action": "keepequal"}], None),
        ([{"source_labels": ["a"], "target_label": "a", "action": "dropequal"}], None),
        ([{"source_labels": ["c"], "target_label": "d", "modulus": 1000, "action": "hashmod"}], START | {"d": "976"}),
        ([{"source_labels": ["a", "b"], "separator": "", "target_label": "d", "action": "uppercase"}],
         START | {"d": "FOOBAR"}),
        ([{"regex": "__meta_(.+)", "action": "labelmap"}], START | {"zone": "eu"}),
        ([{"regex": "__meta_.*|a", "action": "labeldrop"}], {"b": "bar", "c": "baz"}),
        ([{"regex": "a|b", "action": "labelkeep"}], {"a": "foo", "b": "bar"}),
    ],
)  # fmt: skip
def test_each_action(tmp_path, documents, expected):
    assert relabel(dict(START), rules(tmp_path, documents)) == expected


def test_a_pattern_spans_lines(tmp_path):
    assert relabel({"a": "x\ny"}, rules(tmp_path, [{"source_labels": ["a"], "regex": "x.y", "action": "drop"}])) is None


@given(st.dictionaries(st.text("abc_", min_size=1), st.text(max_size=3)))
def test_without_rules_only_empty_labels_go(labels):
    before = dict(labels)
    assert relabel(labels, ()) == {name: value for name, value in labels.items() if value}
    assert labels == before


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"action": "replce"}, "did you mean 'replace'"),
        ({"action": "replace"}, "needs a target_label"),
        ({"action": "hashmod", "target_label": "x"}, "modulus"),
        ({"action": "keep", "regex": "("}, "not a regular expression"),
        ({"action": "keep", "sourcelabels": ["a"]}, "did you mean 'source_labels'"),
    ],
)
def test_a_rule_that_cannot_be_is_a_fault(tmp_path, document, told):
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"rules": [document]}))
    faults: list = []
    assert read_rule(read_root(file, faults).blocks("rules")[0]) is None
    assert told in str(faults[0])
