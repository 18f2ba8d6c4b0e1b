"""Which phones can be emulated: what their properties say and which services they have."""

from __future__ import annotations

import platform
from dataclasses import dataclass

# Programs run natively, so the ABI is the host's.
_ABIS = {
    "x86_64": "x86_64",
    "aarch64": "arm64-v8a",
    "armv7l": "armeabi-v7a",
}


@dataclass(frozen=True, slots=True)
class PhoneProfile:
    """One kind of emulated phone.

    Attributes:
        name: as the command line has it.
        release, sdk: of Android.
        soc: ro.soc.model, and ro.board.platform; a made-up one that says so.
        features: of its adbd.
        rooted: whether it has `su`.
        gpu_unsupported: reasons of ops that its GPU delegate refuses, by op name; None
            where its benchmark_model was built without GPU.
        nnapi_accelerators: names; empty where there is no NNAPI.
        current_sign: sign of current_now while it discharges; vendors differ.
    """

    name: str
    release: str
    sdk: int
    soc: str
    features: tuple[str, ...] = ("shell_v2", "cmd", "stat_v2", "ls_v2", "fixed_push_mkdir")
    rooted: bool = False
    gpu_unsupported: tuple[tuple[str, str], ...] | None = ()
    nnapi_accelerators: tuple[str, ...] = ()
    current_sign: int = -1

    def properties(self, serial: str) -> dict[str, str]:
        """What getprop prints, by property."""
        abi = _ABIS.get(platform.machine(), platform.machine())
        build = f"EDGEBENCH.{self.sdk}.SIMULATED"
        properties = {
            "ro.product.manufacturer": "edgebench",
            "ro.product.brand": "edgebench",
            "ro.product.model": "edgebench emulated phone",
            "ro.product.name": f"edgebench_{self.soc}",
            "ro.product.device": f"edgebench_{self.soc}",
            "ro.product.board": self.soc,
            "ro.product.cpu.abi": abi,
            "ro.product.cpu.abilist": "x86_64,x86" if abi == "x86_64" else abi,
            "ro.hardware": "edgebench",
            "ro.board.platform": self.soc,
            "ro.build.version.release": self.release,
            "ro.build.version.sdk": str(self.sdk),
            "ro.build.version.security_patch": "2020-01-01",
            "ro.build.id": build,
            "ro.build.display.id": f"{build} test-keys",
            "ro.build.fingerprint": f"edgebench/edgebench_{self.soc}/edgebench_{self.soc}:"
            f"{self.release}/{build}/1:user/test-keys",
            "ro.build.type": "userdebug" if self.rooted else "user",
            "ro.debuggable": "1" if self.rooted else "0",
            "ro.serialno": serial,
            "ro.boot.serialno": serial,
            "ro.opengles.version": "196610",
            "sys.boot_completed": "1",
        }
        if self.has_perfetto:
            # Only from Android 11 on does every maker's phone start it by itself.
            properties["init.svc.traced"] = "running" if self.sdk >= 30 else "stopped"
        if self.sdk >= 31:
            properties["ro.soc.manufacturer"] = "edgebench (simulated)"
            properties["ro.soc.model"] = self.soc
        return properties

    @property
    def has_perfetto(self) -> bool:
        return self.sdk >= 28

    @property
    def has_thermal_service(self) -> bool:
        return self.sdk >= 29

    @property
    def has_airplane_command(self) -> bool:
        return self.sdk >= 30


_OLD = ("cmd", "stat_v2")
_REFUSED = (
    ("CAST", "Not supported cast case"),
    ("TOPK_V2", "Operation is not supported."),
)
_NNAPI = ("edgebench-simulated-npu", "nnapi-reference")

PROFILES = {
    profile.name: profile
    for profile in (
        PhoneProfile("android-8", "8.1.0", 27, "sim800", _OLD, gpu_unsupported=None),
        PhoneProfile("android-10", "10", 29, "sim1000", nnapi_accelerators=_NNAPI, current_sign=1),
        PhoneProfile("android-12", "12", 31, "sim1200", nnapi_accelerators=_NNAPI),
        PhoneProfile(
            "android-13",
            "13",
            33,
            "sim1300",
            gpu_unsupported=_REFUSED,
            nnapi_accelerators=_NNAPI,
        ),
        PhoneProfile("android-14", "14", 34, "sim1400", nnapi_accelerators=_NNAPI, rooted=True),
        PhoneProfile("android-15", "15", 35, "sim1500"),
    )
}
