"""Binaries for devices: what a file is, where it comes from, that it stays the same."""

from __future__ import annotations

import contextlib
import datetime
import http.server
import json
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.cli.main import main
from bench.config import RUNNERS
from bench.errors import UnreadableOutput, UserError
from bench.tools.cache import ToolCache, ToolError, sha256_of_file, tool_from_path
from bench.tools.catalogue import known_tool, known_tools
from bench.tools.elf import Program, read_program

PHONE = known_tool("benchmark_model-android-arm64-v8a")
BOARD = known_tool("benchmark_model-linux-aarch64")
HERE = known_tool("benchmark_model-linux-x86_64")


def elf(
    machine: int = 183,
    *,
    wide: bool = True,
    interpreter: bytes = b"/system/bin/linker64",
    note: bytes = b"",
    kind: int = 3,
    flags: int = 0,
    padding: bytes = b"",
) -> bytes:
    """A head of a program with one segment for its interpreter and one for a note."""
    noted = struct.pack("<III", len(note) + 1, 4, 1) + (note + b"\0").ljust(8, b"\0") + b"1234"
    parts = [(3, interpreter + b"\0")] * bool(interpreter) + [(4, noted)] * bool(note)
    head, size = (64, 56) if wide else (52, 32)
    place = head + size * len(parts)
    table, content = b"", b""
    for segment, data in parts:
        offset = place + len(content)
        table += (
            struct.pack("<IIQQQQQQ", segment, 4, offset, 0, 0, len(data), len(data), 1)
            if wide
            else struct.pack("<IIIIIIII", segment, offset, 0, 0, len(data), len(data), 4, 1)
        )
        content += data
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1, 1]) + bytes(9)
    rest = (
        struct.pack(
            "<HHIQQQIHHHHHH", kind, machine, 1, 0, head, 0, flags, 64, size, len(parts), 0, 0, 0
        )
        if wide
        else struct.pack(
            "<HHIIIII6H", kind, machine, 1, 0, head, 0, flags, 52, size, len(parts), 0, 0, 0
        )
    )
    return ident + rest + table + content + padding


class TestElf:
    @pytest.mark.parametrize(
        ("data", "expected"),
        [
            (elf(), Program("aarch64", "android", False)),
            (elf(interpreter=b"/lib/ld-linux-aarch64.so.1"), Program("aarch64", "linux", False)),
            (elf(interpreter=b"/lib/ld-musl-aarch64.so.1"), Program("aarch64", "linux", False)),
            (elf(interpreter=b"", note=b"Android"), Program("aarch64", "android", False)),
            (elf(interpreter=b"", note=b"GNU"), Program("aarch64", "linux", False)),
            (elf(interpreter=b"", kind=2), Program("aarch64", None, False)),
            (
                elf(40, wide=False, interpreter=b"/lib/ld-linux-armhf.so.3", flags=0x5000400),
                Program("arm", "linux", True),
            ),
            (
                elf(40, wide=False, interpreter=b"/system/bin/linker"),
                Program("arm", "android", False),
            ),
            (
                elf(62, interpreter=b"/lib64/ld-linux-x86-64.so.2"),
                Program("x86_64", "linux", False),
            ),
        ],
    )
    def test_machine_and_system(self, data: bytes, expected: Program) -> None:
        assert read_program(data) == expected

    def test_the_interpreter_that_runs_this_test(self) -> None:
        if not sys.platform.startswith("linux"):
            pytest.skip("this machine is no Linux")
        found = read_program(Path(sys.executable).resolve().read_bytes())
        assert found.system == "linux"

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (b"", "an empty file"),
            (b"#!/bin/sh\n", "a script"),
            (b"PK\x03\x04xx", "APK"),
            (b"\n<!DOCTYPE html><html>", "a web page"),
            (b"hello", "not a program"),
            (elf(kind=1), "object file"),
            (elf(interpreter=b""), "shared library"),
            (elf(machine=8), "another kind of machine"),
            (elf()[:20], "cut off"),
        ],
    )
    def test_what_else_it_is(self, data: bytes, reason: str) -> None:
        with pytest.raises(UnreadableOutput, match=reason):
            read_program(data)

    @pytest.mark.parametrize(
        ("data", "system", "abi", "reason"),
        [
            (elf(), "android", "arm64-v8a", None),
            (elf(), "linux", "aarch64", "built for android, not for linux"),
            (elf(), "android", "x86_64", "built for arm64-v8a, not for x86_64"),
            (elf(62), "android", "arm64-v8a", "built for x86_64"),
            (
                elf(40, wide=False, interpreter=b"/lib/ld-linux.so.3"),
                "linux",
                "armhf",
                "armel",
            ),
            (elf(interpreter=b"", kind=2), "linux", "aarch64", None),
        ],
    )
    def test_whether_it_runs_on_a_device(
        self, data: bytes, system: str, abi: str, reason: str | None
    ) -> None:
        found = read_program(data).misfit(system, abi)
        assert (found is None) == (reason is None)
        assert (reason or "") in (found or "")

    @settings(deadline=None, max_examples=150)
    @given(st.integers(0, 200), st.binary(max_size=8))
    def test_damage_is_read_or_refused(self, place: int, junk: bytes) -> None:
        data = bytearray(elf(note=b"Android"))
        data[place : place + len(junk)] = junk
        with contextlib.suppress(UnreadableOutput):
            read_program(bytes(data))


class TestCatalogue:
    def test_every_kind_system_and_abi_once(self) -> None:
        names = [tool.name for tool in known_tools()]
        assert len(names) == len(set(names)) == 15
        assert {tool.kind for tool in known_tools()} <= set(RUNNERS)

    def test_nothing_is_called_seen_to_work_without_a_place(self) -> None:
        for tool in known_tools():
            assert not tool.verified or tool.url
            assert not tool.url or (tool.url.startswith("https://") and tool.page)

    def test_the_nearest_name(self) -> None:
        with pytest.raises(UserError, match="did you mean 'benchmark_model-linux-armhf'"):
            known_tool("benchmark-linux-armhf")


@pytest.fixture
def cache(tmp_path: Path) -> ToolCache:
    return ToolCache(tmp_path / "tools")


def file(tmp_path: Path, content: bytes, name: str = "built") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


class TestCache:
    def test_what_was_added_is_found_for_its_devices_only(
        self, cache: ToolCache, tmp_path: Path
    ) -> None:
        assert cache.get(PHONE) is None
        added = cache.add(PHONE, file(tmp_path, elf()))
        assert added.path.read_bytes() == elf()
        assert added.path.stat().st_mode & 0o111
        assert added.sha256 == sha256_of_file(tmp_path / "built")
        assert cache.find("benchmark_model", "android", "arm64-v8a") == added
        assert cache.find("benchmark_model", "android", "x86_64") is None
        assert cache.find("benchmark_litert", "android", "arm64-v8a") is None
        assert not list(cache.root.glob(".incoming-*"))

    def test_another_file_needs_a_word(self, cache: ToolCache, tmp_path: Path) -> None:
        first = cache.add(PHONE, file(tmp_path, elf()))
        newer = file(tmp_path, elf(padding=b"new"), "newer")
        with pytest.raises(UserError, match="--accept"):
            cache.add(PHONE, newer)
        assert cache.get(PHONE) == first
        second = cache.add(PHONE, newer, accept=True)
        assert cache.get(PHONE) == second != first
        # What was measured with the first can be measured with again.
        assert first.path.exists()

    def test_the_same_file_again_keeps_where_it_is_from(
        self, cache: ToolCache, tmp_path: Path
    ) -> None:
        first = cache.add(PHONE, file(tmp_path, elf()))
        assert cache.add(PHONE, file(tmp_path, elf(), "copy")) == first

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (elf(62), "built for x86_64"),
            (elf(interpreter=b"/lib/ld-linux-aarch64.so.1"), "built for linux"),
            (b"<html>not found</html>", "a web page"),
            (b"", "an empty file"),
        ],
    )
    def test_a_file_for_other_devices_is_refused(
        self, cache: ToolCache, tmp_path: Path, content: bytes, reason: str
    ) -> None:
        with pytest.raises(UserError, match=reason):
            cache.add(PHONE, file(tmp_path, content))
        assert cache.get(PHONE) is None
        assert list(cache.root.iterdir()) == []

    def test_a_file_that_changed_since_is_not_used(self, cache: ToolCache, tmp_path: Path) -> None:
        added = cache.add(PHONE, file(tmp_path, elf()))
        added.path.chmod(0o755)
        added.path.write_bytes(elf(padding=b"!"))
        with pytest.raises(ToolError, match="gone or changed"):
            cache.get(PHONE)
        added.path.unlink()
        with pytest.raises(ToolError, match="gone or changed"):
            cache.get(PHONE)

    def test_a_pin_that_cannot_be_read(self, cache: ToolCache, tmp_path: Path) -> None:
        cache.add(PHONE, file(tmp_path, elf()))
        (cache.root / f"{PHONE.name}.json").write_text("{")
        with pytest.raises(ToolError, match="cannot be read"):
            cache.get(PHONE)

    def test_the_users_own_path(self, tmp_path: Path) -> None:
        mine = file(tmp_path, elf())
        with pytest.raises(UserError, match="chmod"):
            tool_from_path(mine, kind="benchmark_model", system="android", abi="arm64-v8a")
        mine.chmod(0o755)
        found = tool_from_path(mine, kind="benchmark_model", system="android", abi="arm64-v8a")
        assert (found.path, found.sha256) == (mine, sha256_of_file(mine))
        with pytest.raises(UserError, match="built for android"):
            tool_from_path(mine, kind="benchmark_model", system="linux", abi="aarch64")
        script = file(tmp_path, b"#!/bin/sh\nexec true\n", "script")
        script.chmod(0o755)
        tool_from_path(script, kind="benchmark_model", system="linux", abi="armhf")


class Server:
    """An https server on loopback: path -> (status, headers, body)."""

    def __init__(self, folder: Path) -> None:
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        certificate, key = _certificate(folder)
        self.trusting = ssl.create_default_context(cafile=str(certificate))
        answers = self.answers

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, headers, body = answers.get(self.path, (404, {}, b""))
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def url(self, path: str) -> str:
        return f"https://127.0.0.1:{self.port}{path}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _certificate(folder: Path) -> tuple[Path, Path]:
    import ipaddress

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "cert.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, private


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.stop()


class TestFetch:
    def test_what_came_is_pinned_with_its_place_and_age(
        self, cache: ToolCache, server: Server
    ) -> None:
        when = "Fri, 20 Nov 2026 08:00:00 GMT"
        server.answers["/tool"] = (200, {"Last-Modified": when}, elf())
        seen: list[tuple[int, int | None]] = []
        found = cache.fetch(
            PHONE,
            url=server.url("/tool"),
            context=server.trusting,
            progress=lambda done, whole: seen.append((done, whole)),
        )
        assert (found.source, found.version) == (server.url("/tool"), when)
        assert seen[-1] == (len(elf()), len(elf()))
        assert cache.get(PHONE) == found

    def test_a_changed_hash_is_refused_until_accepted(
        self, cache: ToolCache, server: Server
    ) -> None:
        server.answers["/tool"] = (200, {}, elf())
        url = server.url("/tool")
        first = cache.fetch(PHONE, url=url, context=server.trusting)
        server.answers["/tool"] = (200, {}, elf(padding=b"nightly"))
        with pytest.raises(UserError, match="--accept"):
            cache.fetch(PHONE, url=url, context=server.trusting)
        assert cache.get(PHONE) == first
        assert cache.fetch(PHONE, url=url, context=server.trusting, accept=True) != first

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            ((404, {}, b"no"), "404"),
            ((503, {}, b""), "503"),
            ((200, {"Content-Length": "100000"}, elf()), "incomplete|no connection"),
            ((200, {}, b""), "incomplete"),
            ((302, {"Location": "http://127.0.0.1:1/tool"}, b""), "without https"),
            ((302, {"Location": "file:///etc/hostname"}, b""), "without https|302"),
        ],
    )
    def test_what_is_not_whole_is_not_kept(
        self,
        cache: ToolCache,
        server: Server,
        answer: tuple[int, dict[str, str], bytes],
        reason: str,
    ) -> None:
        server.answers["/tool"] = answer
        with pytest.raises(ToolError, match=reason) as caught:
            cache.fetch(PHONE, url=server.url("/tool"), context=server.trusting)
        assert "edgebench tools add benchmark_model-android-arm64-v8a FILE" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert list(cache.root.iterdir()) == []

    def test_no_network_says_what_to_do_by_hand(self, cache: ToolCache, server: Server) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))  # bound and not listening: nothing can be reached
            url = f"https://127.0.0.1:{closed.getsockname()[1]}/tool"
            with pytest.raises(ToolError, match=r"no connection.*by hand: build"):
                cache.fetch(PHONE, url=url, context=server.trusting)

    def test_a_server_that_nobody_vouches_for(self, cache: ToolCache, server: Server) -> None:
        server.answers["/tool"] = (200, {}, elf())
        with pytest.raises(ToolError, match="certificate"):
            cache.fetch(PHONE, url=server.url("/tool"))

    @pytest.mark.parametrize("url", ["http://x/y", "file:///etc/passwd", "ftp://x/y", "x", ""])
    def test_only_https(self, cache: ToolCache, url: str) -> None:
        with pytest.raises(UserError, match="not an https address"):
            cache.fetch(PHONE, url=url)

    def test_what_nobody_has_seen_work_needs_the_users_word(self, cache: ToolCache) -> None:
        with pytest.raises(UserError, match=r"nobody of this project .* --url https://"):
            cache.fetch(PHONE)
        with pytest.raises(UserError, match="no place is known"):
            cache.fetch(known_tool("benchmark_litert-android-arm64-v8a"))


class TestCommand:
    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EDGEBENCH_TOOLS", str(tmp_path / "tools"))

    def test_list_add_where(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["tools", "add", PHONE.name, str(file(tmp_path, elf()))]) == 0
        assert main(["tools", "where", PHONE.name]) == 0
        path = Path(capsys.readouterr().out.splitlines()[-1])
        assert path.read_bytes() == elf()
        assert main(["tools"]) == 0
        table = capsys.readouterr().out
        assert all(tool.name in table for tool in known_tools())
        assert main(["tools", "list", "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        listed = {tool["name"]: tool for tool in document["tools"]}
        assert listed[PHONE.name]["sha256"] == sha256_of_file(path)
        assert listed[BOARD.name]["path"] is None

    def test_mistakes_are_one_line_and_exit_code_2(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        wrong = str(file(tmp_path, elf(62)))
        for arguments in (
            ["where", PHONE.name],
            ["where", "nothing"],
            ["fetch", PHONE.name],
            ["fetch", BOARD.name, "--url", "http://x/y"],
            ["add", PHONE.name, wrong],
            ["add", PHONE.name, str(tmp_path / "none")],
        ):
            assert main(["tools", *arguments]) == 2, arguments
            lines = capsys.readouterr().err.splitlines()
            assert len(lines) == 1, lines

    def test_a_damaged_tool_is_shown_as_that(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        main(["tools", "add", PHONE.name, str(file(tmp_path, elf()))])
        (tmp_path / "tools" / f"{PHONE.name}.json").write_text("{")
        capsys.readouterr()
        assert main(["tools", "list"]) == 0
        assert "damaged" in capsys.readouterr().out
        assert main(["tools", "where", PHONE.name]) == 3


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc to build a program with")
def test_a_program_that_was_really_built(tmp_path: Path) -> None:
    source = file(tmp_path, b"int main(void) { return 0; }\n", "p.c")
    for extra in ([], ["-static"]):
        built = tmp_path / f"p{len(extra)}"
        subprocess.run(["gcc", *extra, "-o", built, source], check=True, capture_output=True)
        assert read_program(built.read_bytes()).system == "linux"
