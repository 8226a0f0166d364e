"""One call by way of asyncari 0.20.6, unmodified."""

import logging
import os
import sys

import anyio
import asyncari
from httpx import HTTPStatusError

APPLICATION = os.environ["ARI_APPLICATION"]

# How long an event may take, in seconds.
PATIENCE = 10

checks = 0


class Differs(Exception):
    """Something is not as it must be."""


def check(what, found, expected):
    """Counts what is as it must be, and ends the script where it is not."""
    global checks
    if found != expected:
        raise Differs(f"{what}: {expected!r} expected, {found!r} found")
    checks += 1


class Events:
    """The events that have come."""

    def __init__(self):
        self.seen = []
        self.more = anyio.Event()

    async def collect(self, ari):
        async for event in ari:
            self.seen.append(event)
            self.more.set()

    async def find(self, kind, **fields):
        """The first event of a type with these fields, whether it has come or is to come."""
        global checks
        with anyio.move_on_after(PATIENCE):
            while True:
                for event in self.seen:
                    if event["type"] == kind and all(getattr(event, name) == value for name, value in fields.items()):
                        checks += 1
                        return event
                self.more = anyio.Event()
                await self.more.wait()
        types = ", ".join(event["type"] for event in self.seen)
        raise Differs(f"no {kind} came that was waited for, but {types or 'nothing'}")

    def in_order(self, channel, *kinds):
        """Whether the first events of these types of a channel came in this order."""
        places = [
            next(i for i, event in enumerate(self.seen) if event["type"] == kind and event.channel is channel)
            for kind in kinds
        ]
        check(f"order of {', '.join(kinds)}", places, sorted(places))


async def refusal(what, operation):
    """Status and body of a refused operation."""
    try:
        await operation
    except asyncari.model.OperationError as error:
        answer = error.__cause__.response
    except HTTPStatusError as error:
        answer = error.response
    else:
        raise Differs(f"{what} was not refused")
    return answer.status_code, answer.json()


async def call(ari, events):
    # Refusals, as this client's errors.
    missing = (404, {"message": "Channel not found"})
    check("an unknown channel", await refusal("get", ari.channels.get(channelId="nobody")), missing)
    unknown = await refusal("get", ari.bridges.get(bridgeId="nowhere"))
    check("an unknown bridge", unknown, (404, {"message": "Bridge not found"}))
    unknown = await refusal("originate", ari.channels.originate(endpoint="SIP/nobody", app=APPLICATION))
    check("an unknown technology", unknown, (500, {"error": "Allocation failed"}))
    info = await ari.asterisk.getInfo()
    check("the version of Asterisk", info["system"]["version"].startswith("22."), True)

    # Somebody calls.
    print("ready", flush=True)
    start = await events.find("StasisStart")
    caller = start.channel
    check("arguments", start["args"], ["sales", "2"])
    check("the caller", start["channel"]["caller"], {"name": "Ann", "number": "5551"})
    check("the state of a new call", start["channel"]["state"], "Ring")
    await caller.answer()
    up = await events.find("ChannelStateChange", channel=caller)
    check("the state of an answered call", up["channel"]["state"], "Up")
    await caller.setChannelVar(variable="DESK", value="seven")
    variable = await caller.getChannelVar(variable="DESK")
    check("a variable", variable["value"], "seven")

    # A sound to its end, and a digit.
    playback = await caller.playWithId(playbackId="greeting", media="sound:hello-world")
    await playback.wait_playing()
    await playback.wait_done()
    heard = await events.find("PlaybackFinished", playback=playback)
    found = (heard["playback"]["id"], heard["playback"]["state"], heard["playback"]["media_uri"])
    check("the finished playback", found, ("greeting", "done", "sound:hello-world"))
    pressed = await events.find("ChannelDtmfReceived", channel=caller)
    check("the digit", pressed["digit"], "5")

    # A second leg.
    bridge = await ari.bridges.createWithId(bridgeId="talk", type="mixing", name="talk")
    check("the bridge", (bridge.id, bridge.json["bridge_type"], bridge.json["channels"]), ("talk", "mixing", []))
    agent = await ari.channels.originateWithId(
        channelId="agent", endpoint="PJSIP/bob", app=APPLICATION, appArgs="dialed", variables={"LEG": "second"}
    )
    answered = await events.find("StasisStart", channel=agent)
    check("the second leg", (answered["args"], answered["channel"]["state"]), (["dialed"], "Up"))
    variable = await agent.getChannelVar(variable="LEG")
    check("its variable", variable["value"], "second")

    # Both talk, and are recorded.
    await bridge.addChannel(channel=[caller.id, agent.id])
    for channel in (caller, agent):
        await channel.wait_bridged(bridge)
        entered = await events.find("ChannelEnteredBridge", channel=channel)
        check("the bridge entered", entered.bridge, bridge)
    check("the members", bridge.channels, {caller, agent})
    recording = await bridge.record(name="interop-python", format="wav")
    await events.find("RecordingStarted", recording=recording)
    await recording.stop()
    recorded = await events.find("RecordingFinished", recording=recording)
    found = (recorded["recording"]["state"], recorded["recording"]["format"])
    check("the recording", found, ("done", "wav"))
    stored = await ari.recordings.listStored()
    check("the stored recordings", [one.json["name"] for one in stored], ["interop-python"])

    # The end of it: the second leg, then the caller, then the bridge.
    await agent.hangup()
    gone = await events.find("ChannelDestroyed", channel=agent)
    check("the cause", (gone["cause"], gone["cause_txt"]), (16, "Normal Clearing"))
    await events.find("StasisEnd", channel=agent)
    kinds = ("StasisStart", "ChannelEnteredBridge", "ChannelHangupRequest", "ChannelLeftBridge", "StasisEnd")
    events.in_order(agent, *kinds)
    await caller.hangup()
    await events.find("StasisEnd", channel=caller)
    await bridge.destroy()
    await events.find("BridgeDestroyed", bridge=bridge)
    check("a channel that is gone", await refusal("answer", caller.answer()), missing)
    check("channels left", await ari.channels.list(), [])
    check("bridges left", await ari.bridges.list(), [])


async def main():
    url, user, password = (os.environ[name] for name in ("ARI_URL", "ARI_USERNAME", "ARI_PASSWORD"))
    events = Events()
    async with asyncari.connect(url, APPLICATION, user, password) as ari:
        ari.taskgroup.start_soon(events.collect, ari)
        await call(ari, events)


def first(error):
    """What a group of errors is about."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


if __name__ == "__main__":
    # The client warns of events that its objects do nothing with.
    logging.basicConfig(level=logging.ERROR)
    if sys.version_info < (3, 11):
        from exceptiongroup import BaseExceptionGroup
    try:
        anyio.run(main)
    except Exception as error:
        found = first(error)
        if not isinstance(found, Differs):
            logging.error("unexpected", exc_info=found)
        sys.exit(f"interop python: after {checks} checks: {found!r}")
    print(f"interop python: ok ({checks} checks)")
