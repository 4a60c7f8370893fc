"""Any page: one file, with the project's words, and figures that belong to it."""

from __future__ import annotations

import pytest

from intent.errors import IntentError
from intent.report.page import write_page
from intent.report.svg import FIRST, WIDE, svg


@pytest.fixture
def template(tmp_path):
    path = tmp_path / "own.html.j2"
    path.write_text(
        '{% extends "base.html.j2" %}{% block title %}{{ name }}{% endblock %}'
        "{% block body %}{{ percent(0.5) }} {{ figure | safe }} {{ made }}{% endblock %}"
    )
    return path


def test_a_page_of_its_own_template(tmp_path, template):
    figure = svg("a", WIDE, lambda axes: axes.plot([0, 1], [0, 1], color=FIRST), "a <label>")
    written = write_page(
        tmp_path / "new" / "p.html", template, {"name": "<b>", "figure": figure}, "page"
    )
    html = written.read_text()
    assert html.startswith("<!doctype html>") and "<title>&lt;b&gt;</title>" in html
    assert "var(--first)" in html and "#040506" not in html and "a &lt;label&gt;" in html
    assert "50.0" in html and "UTC" in html
    again = svg("a", WIDE, lambda axes: axes.plot([0, 1], [0, 1], color=FIRST), "a <label>")
    assert again == figure  # nothing in it is random


def test_a_page_that_cannot_be_written_is_one_line(tmp_path, template):
    with pytest.raises(IntentError, match="cannot write the page"):
        write_page(template / "p.html", template, {"name": "", "figure": ""}, "page")
