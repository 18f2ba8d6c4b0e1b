"""What dumpsys says on Android 8, 10, 13 and 15, in the format of AOSP's services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_BATTERY = """Current Battery Service state:
  AC powered: {ac}
  USB powered: {usb}
  Wireless powered: false
{dock}  Max charging current: 500000
  Max charging voltage: 5000000
  Charge counter: 2405000
  status: {status}
  health: 2
  present: true
  level: {level}
  scale: 100
  voltage: {voltage}
  temperature: {temperature}
  technology: Li-ion
"""

_THERMAL = """IsStatusOverride: false
ThermalEventListeners:
	callbacks: 1
	killed: false
	broadcasts count: -1
ThermalStatusListeners:
	callbacks: 2
	killed: false
	broadcasts count: -1
Thermal Status: {status}
Cached temperatures:
	Temperature{{mValue=99.0, mType=0, mName=CPU0, mStatus=0}}
	Temperature{{mValue=99.0, mType=3, mName=SKIN, mStatus=0}}
HAL Ready: true
HAL connection:
	{hal}
Current temperatures from HAL:
{temperatures}
Current cooling devices from HAL:
	CoolingDevice{{mValue=0, mType=2, mName=thermal-cpufreq-0}}
Temperature static thresholds from HAL:
	TemperatureThreshold{{mType=3, mName=SKIN, mHotThrottlingThresholds=[NaN, 39.0, 43.0]}}
"""

_POWER = """  mWakefulness={wakefulness}
{display}"""

DUMPSYS: Mapping[str, Mapping[str, str]] = {
    "8": {
        "battery": _BATTERY.format(
            ac="false", usb="false", dock="", status=3, level=85, voltage=3987, temperature=285
        ),
        "thermalservice": "Can't find service: thermalservice\n",
        "power": _POWER.format(wakefulness="Asleep", display="Display Power: state=OFF\n"),
    },
    "10": {
        "battery": _BATTERY.format(
            ac="true", usb="false", dock="", status=5, level=100, voltage=4350, temperature=301
        ),
        "thermalservice": _THERMAL.format(
            status=2,
            hal="ThermalHAL 2.0 connected: yes",
            temperatures="	Temperature{mValue=52.3, mType=0, mName=CPU0, mStatus=0}\n"
            "	Temperature{mValue=54.1, mType=0, mName=CPU1, mStatus=0}\n"
            "	Temperature{mValue=44.0, mType=3, mName=skin, sdm, mStatus=2}\n"
            "	Temperature{mValue=NaN, mType=1, mName=GPU0, mStatus=0}\n"
            "	Temperature{mValue=4.1, mType=6, mName=vbat, mStatus=0}",
        ),
        "power": _POWER.format(wakefulness="Awake", display="Display Power: state=DOZE\n"),
    },
    "13": {
        "battery": _BATTERY.format(
            ac="false", usb="true", dock="  Dock powered: false\n", status=2, level=62,
            voltage=4102, temperature=334,
        ),
        "thermalservice": _THERMAL.format(
            status=0,
            hal="ThermalHAL AIDL 1  connected: yes",
            temperatures="	Temperature{mValue=41.5, mType=0, mName=BIG, mStatus=0}\n"
            "	Temperature{mValue=36.2, mType=3, mName=VIRTUAL-SKIN, mStatus=0}\n"
            "	Temperature{mValue=33.9, mType=2, mName=battery, mStatus=0}",
        ),
        "power": _POWER.format(wakefulness="Awake", display=""),
    },
    "15": {
        "battery": _BATTERY.format(
            ac="false", usb="false", dock="  Dock powered: false\n", status=3, level=19,
            voltage=0, temperature=0,
        )
        + "  Charging state: 0\n  Charging policy: 1\n  capacity level: 3\n",
        "thermalservice": _THERMAL.format(
            status=1,
            hal="ThermalHAL AIDL 2  connected: yes",
            temperatures="	Temperature{mValue=48.0, mType=13, mName=soc_therm, mStatus=0}\n"
            "	Temperature{mValue=31.0, mType=2, mName=battery, mStatus=0}\n"
            "	Temperature{mValue=12.0, mType=99, mName=new-kind, mStatus=0}",
        ),
        "power": _POWER.format(wakefulness="Dozing", display=""),
    },
}  # fmt: skip

# The fields of the snapshot that such a phone gives, where its sysfs is hidden.
PHONES: Mapping[str, Mapping[str, Any]] = {
    "8": {
        "battery_percent": 85, "battery_status": "Discharging", "charging": False, "plugged": (),
        "battery_voltage_mv": 3987.0, "battery_c": 28.5, "power_saver": False,
        "screen_on": False,
    },
    "10": {
        "temperature_c": 54.1, "temperature_zone": "HAL CPU", "skin_c": 44.0, "battery_c": 30.1,
        "hal_c": {"CPU": 54.1, "SKIN": 44.0}, "thermal_status": 2,
        "battery_percent": 100, "battery_status": "Full", "charging": True, "plugged": ("AC",),
        "battery_voltage_mv": 4350.0, "power_saver": True, "screen_on": False,
    },
    "13": {
        "temperature_c": 41.5, "temperature_zone": "HAL CPU", "skin_c": 36.2, "battery_c": 33.4,
        "hal_c": {"CPU": 41.5, "SKIN": 36.2, "BATTERY": 33.9}, "thermal_status": 0,
        "battery_percent": 62, "battery_status": "Charging", "charging": True,
        "plugged": ("USB",), "battery_voltage_mv": 4102.0, "power_saver": True,
        "screen_on": True,
    },
    "15": {
        "temperature_c": 48.0, "temperature_zone": "HAL SOC", "battery_c": 31.0,
        "hal_c": {"SOC": 48.0, "BATTERY": 31.0}, "thermal_status": 1,
        "battery_percent": 19, "battery_status": "Discharging", "charging": False,
        "plugged": (), "power_saver": True, "screen_on": False,
    },
}  # fmt: skip
