"""Measure the deployed models on a schedule, and keep the figures until they are uploaded.

A program of its own for gateways and boards in the field; the files of `edgebench agent
script` lie beside it. Modes: without any, on until SIGTERM; --once, --check, --status.
Exit status: 0; 1 where --check found a model that does not load; 2 wrong configuration; 3
a measurement or the spool failed.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import signal
import sqlite3
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or __package__:
    from bench.agent import edge_config, edge_phone, edge_sensors, edge_spool, edge_upload
    from bench.agent.edge_child import Failed, Stopped, in_child
    from bench.agent.edge_config import Config, Target
else:
    import edge_config
    import edge_phone
    import edge_sensors
    import edge_spool
    import edge_upload
    from edge_child import Failed, Stopped, in_child
    from edge_config import Config, Target

_JITTER = 0.1
_LONGEST_START_S = 60.0
_POWER_PERIOD_S = 0.02
# Samples that are held in memory while the disk takes none.
_HELD = 1000
_LOG = logging.getLogger("edge_agent")


class Agent:
    """All that is measured on one machine and on the phones that are plugged into it.

    Args:
        stop: set when it shall end; a measurement under way is given up.
        machine: whose sensors are read.
    """

    def __init__(
        self,
        config: Config,
        stop: threading.Event,
        machine: edge_sensors.Machine | None = None,
        adb: str = "adb",
    ) -> None:
        self._config = config
        self._stop = stop
        self._machine = machine or edge_sensors.Machine()
        self._adb = adb
        self._batteries: dict[str, edge_sensors.Battery | None] = {}
        self._emulators: set[str] = set()
        self._most_khz: int | None = None
        self._reasons: dict[str, str] = {}

    def sample(self, target: Target) -> dict[str, Any]:
        """One row of edge_metrics; where the measurement failed, one that says why.

        Raises: Stopped.
        """
        row: dict[str, Any] = {
            "sample_id": str(uuid.uuid4()),
            "device_id": target.device_id,
            "device_model": None if target.phone else self._machine.model(),
            "model_name": target.name,
            "model_version": target.version,
            "model_sha256": "",
            "quantization_type": target.quantization_type,
            "delegate": target.delegate,
            "agent_version": edge_config.AGENT_VERSION,
            "threads": target.threads,
            "sample_count": 0,
            "failure": None,
            "simulated": False,
            "clock_synchronised": edge_sensors.clock_synchronised(),
            "timestamp": edge_spool.utc_now(),
        }
        try:
            with edge_spool.measuring(self._config.spool):
                row.update(self._on_phone(target) if target.phone else self._here(target))
        except (Failed, edge_phone.PhoneError, OSError) as error:
            row["failure"] = " ".join(str(error).split())[:1000]
            _LOG.warning("%s on %s: %s", target.name, target.device_id, row["failure"])
        row["simulated"] |= self._config.simulated or self._is_emulator(target)
        return row

    def _is_emulator(self, target: Target) -> bool:
        """Of a phone: what was one once is one, also where it does not answer."""
        if target.phone is None:
            return False
        serial = target.phone.serial
        return serial in self._emulators or serial.startswith("emulator-")

    def _on_phone(self, target: Target) -> dict[str, Any]:
        assert target.phone is not None
        serial = target.phone.serial
        adb = edge_phone.Adb(serial, self._adb)
        # Nothing is known of its charge any more, should this fail.
        earlier = self._batteries.pop(serial, None)
        columns, self._batteries[serial] = edge_phone.measure(target, adb, earlier)
        if columns["simulated"]:
            self._emulators.add(serial)
        return columns

    def _here(self, target: Target) -> dict[str, Any]:
        machine = self._machine
        source, why = machine.power()
        before, earlier = machine.throttle(), self._batteries.pop("", None)
        readings: list[edge_sensors.Reading] = []

        def look() -> None:
            if source is not None and (found := edge_sensors.reading(source)):
                readings.append(found)

        document = in_child(target, self._stop, look, _POWER_PERIOD_S if source else 0.25)
        after, battery = machine.throttle(), machine.battery()
        energy = None
        if source is not None:
            energy, why = edge_sensors.energy_mj(
                source, readings, document["window_ns"], document["mean_ms"]
            )
        self._say_once("energy", why)
        held_back = edge_sensors.throttled(before, after, self._most_khz)
        self._most_khz = max(self._most_khz or 0, before.max_khz or 0, after.max_khz or 0) or None
        self._batteries[""] = battery
        return {
            "model_sha256": document["model_sha256"],
            "delegate_verdict": document["delegate_verdict"],
            "runtime_version": document["runtime_version"],
            "sample_count": document["sample_count"],
            "inference_latency_ms_p50": document["p50_ms"],
            "inference_latency_ms_p90": document["p90_ms"],
            "battery_drain_pct": edge_sensors.drain_pct(earlier, battery),
            "energy_mj_per_invoke": energy,
            "temperature_c": machine.temperature_c(),
            "throttled": held_back,
        }

    def _say_once(self, what: str, why: str) -> None:
        if why and self._reasons.get(what) != why:
            _LOG.info("no %s: %s", what, why)
        self._reasons[what] = why


class Keeper:
    """The agent's way into its spool: sets a damaged one aside, and holds on when the disk is full.

    Raises: edge_spool.SpoolError, from the constructor only.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._spool = self._opened()
        self._held: deque[dict[str, Any]] = deque(maxlen=_HELD)

    def keep(self, row: dict[str, Any]) -> bool:
        """Keep a sample and those that are held in memory; False where the disk takes none."""
        if len(self._held) == _HELD:
            _LOG.error("the oldest of %d samples in memory is lost", _HELD)
        self._held.append(row)
        try:
            try:
                self._spool.add(self._held)
            except sqlite3.DatabaseError as error:
                if not edge_spool.is_damage(error):
                    raise
                self._spool.close()
                edge_spool.set_aside(self._config.spool, error)
                self._spool = self._opened()
                self._spool.add(self._held)
        except (sqlite3.Error, edge_spool.SpoolError) as error:
            _LOG.error("%d samples are held in memory: %s", len(self._held), error)
            return False
        self._held.clear()
        return True

    def close(self) -> None:
        """Close the spool."""
        self._spool.close()

    def _opened(self) -> edge_spool.Spool:
        return edge_spool.Spool(self._config.spool, self._config.spool_limit_bytes, repair=True)


def check(config: Config) -> int:
    """Load and allocate every model of this machine; 1 where one cannot be, said in a line."""
    bad = 0
    for target in config.targets:
        if target.phone is None:
            try:
                # A health check must not disturb the figures that it watches over.
                with edge_spool.measuring(config.spool):
                    in_child(target, threading.Event(), lambda: None, 1.0, allocate_only=True)
            except Failed as error:
                sys.stderr.write(f"edge_agent: {target.path}: {error}\n")
                bad = 1
    return bad


def once(config: Config, stop: threading.Event) -> int:
    """Measure everything once; 3 where something could not be measured or kept."""
    with edge_spool.only_agent(config.spool):
        keeper, agent = Keeper(config), Agent(config, stop)
        try:
            rows = [agent.sample(target) for target in config.targets]
            kept = [keeper.keep(row) for row in rows][-1]
        except Stopped:
            return 130
        finally:
            keeper.close()
    return 0 if kept and not any(row["failure"] for row in rows) else 3


def keep_measuring(config: Config, stop: threading.Event) -> int:
    """Measure on the schedule until `stop` is set, and upload where that can be done."""
    with edge_spool.only_agent(config.spool):
        keeper, agent = Keeper(config), Agent(config, stop)
        wake = threading.Event()
        uploader = _uploader(config, wake, stop)
        try:
            # After a power cut a whole fleet would start, and upload, in one moment.
            stop.wait(random.uniform(0, min(_LONGEST_START_S, config.interval_s / 10)))  # noqa: S311
            due = time.monotonic()
            while not stop.is_set():
                for target in config.targets:
                    keeper.keep(agent.sample(target))
                wake.set()
                due += config.interval_s * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311
                # What was missed in a sleep of the machine is not made up for.
                due = max(due, time.monotonic())
                stop.wait(due - time.monotonic())
        except Stopped:
            pass
        finally:
            stop.set()
            wake.set()
            keeper.close()
            if uploader is not None:
                uploader.join(timeout=5)
    return 0


def _uploader(
    config: Config, wake: threading.Event, stop: threading.Event
) -> threading.Thread | None:
    if config.database_url is None:
        _LOG.info("no database is set: samples wait in %s", config.spool)
        return None
    try:
        edge_upload.connector(config.database_url)
    except edge_upload.UploadError as error:
        _LOG.warning("%s; samples wait in %s for edge_upload.py", error, config.spool)
        return None
    thread = threading.Thread(
        target=edge_upload.keep_uploading,
        args=(lambda: edge_spool.Spool(config.spool), config.database_url, wake, stop),
        kwargs={"wait_s": config.interval_s},
        daemon=True,
    )
    thread.start()
    return thread


def status(config: Config) -> int:
    """Print what waits, what was uploaded and what happened last, as JSON."""
    if not config.spool.exists():
        raise edge_spool.SpoolError(f"{config.spool}: no spool; the agent has not run yet")
    with edge_spool.Spool(config.spool) as spool:
        sys.stdout.write(json.dumps(spool.status(), indent=2) + "\n")
    return 0


def main(arguments: Sequence[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="edge_agent.py", description=__doc__)
    parser.add_argument("--config", help="TOML or JSON; else EDGE_CONFIG, else /etc/edge-agent/")
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--once", action="store_true", help="measure everything once, and end")
    modes.add_argument("--check", action="store_true", help="load and allocate every model")
    modes.add_argument("--status", action="store_true", help="print the state of the spool")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        config = edge_config.load(options.config)
        if options.check:
            return check(config)
        if options.status:
            return status(config)
        return once(config, stop) if options.once else keep_measuring(config, stop)
    except edge_config.ConfigError as error:
        sys.stderr.write(f"edge_agent: {error}\n")
        return 2
    except (edge_spool.SpoolError, sqlite3.Error) as error:
        sys.stderr.write(f"edge_agent: {error}\n")
        return 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
