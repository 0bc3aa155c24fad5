"""``carbonroute regions`` and ``carbonroute init --regions``: what they print, write and refuse."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from carbonroute.catalogue import cloud_regions, models, zones
from carbonroute.cli import main
from carbonroute.scenario import load, resolve
from carbonroute.scenario.draft import draft

Output = pytest.CaptureFixture[str]


def test_regions_of_a_place(capsys: Output) -> None:
    assert main(["regions", "Dublin"]) == 0
    printed = capsys.readouterr()
    rows = [line.split() for line in printed.out.splitlines() if ":" in line and "IE" in line]
    assert rows == [
        ["aws:eu-west-1", "Dublin,", "IE", "IE", "406", "1.11"],
        ["azure:northeurope", "Dublin,", "IE", "IE", "406", "1.18"],
    ]
    assert printed.err == ""


def test_gaps_stand_in_the_table(capsys: Output) -> None:
    for text, gap in (
        ("aws:cn-north-1", "no PUE; carbon: annual mean only"),
        ("aws:ap-east-1", "PUE: fleet mean; carbon: hourly shape doubtful"),
        ("aws:us-west-2", "zone: perhaps US-NW-PACW"),
    ):
        assert main(["regions", text]) == 0
        assert gap in capsys.readouterr().out


def test_all_regions_of_a_provider_as_json(capsys: Output) -> None:
    assert main(["regions", "--provider", "gcp", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [each["id"] for each in printed] == [key for key in cloud_regions() if key.startswith("gcp:")]
    for each in printed:
        known, zone = cloud_regions()[each["id"]], zones()[each["zone"]]
        assert (each["pue"], each["pue_source"], each["zone_note"]) == (
            known.pue,
            known.pue_source,
            known.zone_note,
        )
        assert each["carbon"]["mean_g_per_kwh"] == zone.mean_g_per_kwh
        assert each["carbon"]["source"] == zone.source
        assert (each["carbon"]["statistics"] is None) == (not zone.has_statistics)


@pytest.mark.parametrize("words", [["eu-wst-1"], ["eu", "wst", "1"]])
def test_no_match_offers_the_nearest(words: list[str], capsys: Output) -> None:
    assert main(["regions", *words]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "no region of the catalogue matches" in printed.err
    assert "did you mean aws:eu-west-1" in printed.err


def test_nothing_near_names_the_list(capsys: Output) -> None:
    assert main(["regions", "qqqqqqqqqqqq", "--json"]) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out) == []
    assert "`carbonroute regions` lists all" in printed.err


def test_init_writes_a_scenario_that_runs(tmp_path: Path, capsys: Output) -> None:
    file = tmp_path / "mine.toml"
    three = "aws:eu-west-1,aws:us-east-1,aws:ap-south-1"
    assert main(["init", str(file), "--regions", three, "--models", "llama-3.1-70b,bge-large"]) == 0
    assert f"carbonroute simulate {file}" in capsys.readouterr().out
    made = load(str(file))
    assert [region.from_ for region in made.regions] == three.split(",")
    assert [origin.name for origin in made.origins] == [region.name for region in made.regions]
    assert sum(origin.share for origin in made.origins) == pytest.approx(1, abs=1e-12)
    chat, embedding = made.workloads
    # 350.571 tokens; 31.8755 requests at once, 1486.67 tokens/s, 1.20688 J a token.
    assert chat.service_ms.average() == pytest.approx(350.571 * 31.8755 / 1486.67 * 1000, rel=1e-3)
    assert chat.energy_j == pytest.approx(350.571 * 1.20688, rel=1e-3)
    assert embedding.service_ms.average() == pytest.approx(60, rel=1e-6)
    assert (embedding.energy_j, embedding.slo_ms) == (0.125, 190)
    assert (
        main(["simulate", str(file), "--sim-hours", "24", "--no-figures", "--output", str(tmp_path / "o")])
        == 0
    )


def in_words(block: str) -> str:
    """Return a part of a scenario with its comments unwrapped."""
    return " ".join(block.replace("\n#  ", "").split())


def test_every_figure_of_init_has_a_source_or_is_assumed() -> None:
    text = draft("all", list(cloud_regions().values()), list(models().values()), chosen=True)
    for line in text.splitlines():
        stated = re.match(r"(\w+) = [\d.]+( +# (.*))?$", line)
        if stated and stated[1] not in {"schema", "energy_j"}:
            assert stated[3], line
    for region in cloud_regions().values():
        words = in_words(text.partition(f'[[regions]]\nfrom = "{region.id}"')[2].partition("[[")[0])
        assert f"longitude = {region.longitude:g}: {region.location_source}" in words
        assert f"carbon_g_per_kwh = {zones()[region.zone].mean_g_per_kwh:g}, 2024: " in words
        assert zones()[region.zone].source in words
        if region.pue is None:
            assert "# assumed: the provider's mean; this region has no figure" in words
        else:
            assert f"pue = {region.pue:g}: {'assumed: ' * region.pue_is_fleet}{region.pue_source}" in words
        assert ("assumed: constant" in words) == (not zones()[region.zone].has_statistics)
        assert ("is plausible too" in words) == (region.other_zone is not None)
    for model in models().values():
        words = in_words(text.partition(f'id = "{model.model}"')[2].partition("[[")[0])
        assert f"# service_ms{', energy_j' * (model.answer_tokens is None)}: " in words
        assert f"{model.hardware}: {model.source}" in words
        assert ("# std of service_ms: assumed, " in words) == (model.answer_tokens is not None)
        assert model.note in words


def test_every_region_and_model_runs(tmp_path: Path) -> None:
    text = draft("all", list(cloud_regions().values()), list(models().values()), chosen=True)
    (tmp_path / "all.toml").write_text(text, encoding="utf-8")
    inputs = resolve(load(str(tmp_path / "all.toml"), {"horizon.hours": 48}))
    assert inputs.shape == (48, 138, 23, 138)
    assert (inputs.carbon.g_per_kwh > 0).all()
    tables = tomllib.loads(text)
    assert sum(origin["share"] for origin in tables["origins"]) == pytest.approx(1, abs=1e-12)


def test_without_models_one_is_assumed_and_said_so(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    assert main(["init", str(file), "--regions", "aws:cn-north-1"]) == 0
    text = file.read_text(encoding="utf-8")
    assert "# No model was named: llama-3.1-8b is assumed" in text
    assert "pue = 1.15                              # assumed: the provider's mean" in text
    assert load(str(file)).regions[0].pue == 1.15


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--regions", "aws:eu-wst-1"],
            "--regions: the catalogue has no 'aws:eu-wst-1'; did you mean aws:eu-west-1",
        ),
        (["--regions", "aws:eu-west-1,,"], "--regions: 2 faults"),
        (
            ["--regions", "aws:eu-west-1,aws:eu-west-1"],
            "--regions: 'aws:eu-west-1' stands twice; names must differ",
        ),
        (
            ["--regions", "aws:eu-west-1", "--models", "llama-3.1-71b"],
            "the catalogue has no 'llama-3.1-71b'; did you mean 'llama-3.1-70b'? Known: llama-3.1-8b",
        ),
        (["--models", "bge-large"], "--models: found without --regions; state the regions that serve them"),
        (
            ["--regions", "aws:eu-west-1", "--from", "starter"],
            "--from: found beside --regions; state one of them",
        ),
        (["--from", "startr"], "--from: no scenario 'startr'; did you mean 'starter'"),
    ],
)
def test_init_refuses(options: list[str], message: str, tmp_path: Path, capsys: Output) -> None:
    assert main(["init", str(tmp_path / "mine.toml"), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "mine.toml").exists()


def test_names_of_regions_differ_between_providers() -> None:
    names = [region.region for region in cloud_regions().values()]
    assert len(set(names)) == len(names)
