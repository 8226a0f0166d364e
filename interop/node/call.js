// One call by way of ari-client (node-ari-client) 2.2.0, unmodified.
'use strict';

const client = require('ari-client');

const { ARI_URL, ARI_USERNAME, ARI_PASSWORD, ARI_APPLICATION } = process.env;

/** How long an event may take, in milliseconds. */
const PATIENCE = 10000;

let checks = 0;

/** Counts what is as it must be, and ends the script where it is not. */
function check(what, found, expected) {
  const [seen, wanted] = [found, expected].map((value) => JSON.stringify(value));
  if (seen !== wanted) {
    throw new Error(`${what}: ${wanted} expected, ${seen} found`);
  }
  checks += 1;
}

/** The events that have come, each with the objects that the client made of it. */
class Events {
  constructor(ari) {
    this.seen = [];
    this.waiting = [];
    ari.on('*', (event, objects) => {
      this.seen.push({ event, objects });
      this.waiting.splice(0).forEach((look) => look());
    });
  }

  /** The first event of a type that fits, whether it has come or is to come. */
  async find(type, fits = () => true) {
    const deadline = Date.now() + PATIENCE;
    for (;;) {
      const found = this.seen.find(({ event }) => event.type === type && fits(event));
      if (found) {
        checks += 1;
        return found;
      }
      const left = deadline - Date.now();
      if (left <= 0) {
        const types = this.seen.map(({ event }) => event.type).join(', ');
        throw new Error(`no ${type} came that was waited for, but ${types || 'nothing'}`);
      }
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, left);
        this.waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** Whether an event of a type came after one of another type, of the same channel. */
  inOrder(channel, ...types) {
    const places = types.map((type) =>
      this.seen.findIndex(({ event }) => event.type === type && (event.channel || {}).id === channel));
    check(`order of ${types.join(', ')}`, places, [...places].sort((a, b) => a - b));
  }
}

/** What a refused operation says. */
async function refusal(what, operation) {
  try {
    await operation;
  } catch (error) {
    return JSON.parse(error.message).message;
  }
  throw new Error(`${what} was not refused`);
}

async function call(ari) {
  const events = new Events(ari);
  const of = (channel) => (event) => event.channel.id === channel.id;
  await ari.start(ARI_APPLICATION);

  // Refusals, as this client's errors.
  check('an unknown channel', await refusal('get', ari.channels.get({ channelId: 'nobody' })), 'Channel not found');
  check('an unknown bridge', await refusal('get', ari.bridges.get({ bridgeId: 'nowhere' })), 'Bridge not found');
  const nowhere = { endpoint: 'SIP/nobody', app: ARI_APPLICATION };
  check('an unknown technology', await refusal('originate', ari.channels.originate(nowhere).catch((error) => {
    // This refusal has another shape than the others.
    throw new Error(JSON.stringify({ message: JSON.parse(error.message).error }));
  })), 'Allocation failed');
  const info = await ari.asterisk.getInfo();
  check('the version of Asterisk', /^22\./.test(info.system.version), true);

  // Somebody calls.
  console.log('ready');
  const { event: start, objects } = await events.find('StasisStart');
  const caller = objects.channel || objects;
  check('arguments', start.args, ['sales', '2']);
  check('the caller', caller.caller, { name: 'Ann', number: '5551' });
  check('the state of a new call', caller.state, 'Ring');
  await caller.answer();
  const { event: up } = await events.find('ChannelStateChange', of(caller));
  check('the state of an answered call', up.channel.state, 'Up');
  await caller.setChannelVar({ variable: 'DESK', value: 'seven' });
  check('a variable', (await caller.getChannelVar({ variable: 'DESK' })).value, 'seven');

  // A sound to its end, and a digit.
  const playback = ari.Playback();
  await caller.play({ media: 'sound:hello-world' }, playback);
  const isIt = (event) => event.playback.id === playback.id;
  await events.find('PlaybackStarted', isIt);
  const { event: heard } = await events.find('PlaybackFinished', isIt);
  check('the finished playback', [heard.playback.state, heard.playback.media_uri], ['done', 'sound:hello-world']);
  const { event: pressed } = await events.find('ChannelDtmfReceived', of(caller));
  check('the digit', pressed.digit, '5');

  // A second leg.
  const bridge = ari.Bridge();
  const created = await bridge.create({ type: 'mixing', name: 'talk' });
  check('the bridge', [created.id, created.bridge_type, created.channels], [bridge.id, 'mixing', []]);
  const agent = ari.Channel();
  const dialed = { endpoint: 'PJSIP/bob', app: ARI_APPLICATION, appArgs: 'dialed', variables: { LEG: 'second' } };
  await agent.originate(dialed);
  const { event: answered } = await events.find('StasisStart', of(agent));
  check('the second leg', [answered.args, answered.channel.state], [['dialed'], 'Up']);
  check('its variable', (await agent.getChannelVar({ variable: 'LEG' })).value, 'second');

  // Both talk, and are recorded.
  await bridge.addChannel({ channel: [caller.id, agent.id] });
  for (const channel of [caller, agent]) {
    const { event: entered } = await events.find('ChannelEnteredBridge', of(channel));
    check('the bridge entered', entered.bridge.id, bridge.id);
  }
  check('the members', (await bridge.get()).channels.sort(), [caller.id, agent.id].sort());
  const recording = ari.LiveRecording('interop-node');
  await bridge.record({ format: 'wav' }, recording);
  await events.find('RecordingStarted', (event) => event.recording.name === 'interop-node');
  await recording.stop();
  const { event: recorded } = await events.find('RecordingFinished');
  check('the recording', [recorded.recording.state, recorded.recording.format], ['done', 'wav']);
  const stored = await ari.recordings.listStored();
  check('the stored recordings', stored.map(({ name }) => name), ['interop-node']);

  // The end of it: the second leg, then the caller, then the bridge.
  await agent.hangup();
  const { event: gone } = await events.find('ChannelDestroyed', of(agent));
  check('the cause', [gone.cause, gone.cause_txt], [16, 'Normal Clearing']);
  await events.find('StasisEnd', of(agent));
  events.inOrder(agent.id, 'StasisStart', 'ChannelEnteredBridge', 'ChannelHangupRequest', 'ChannelLeftBridge', 'StasisEnd');
  await caller.hangup();
  await events.find('StasisEnd', of(caller));
  await bridge.destroy();
  await events.find('BridgeDestroyed', (event) => event.bridge.id === bridge.id);
  check('a channel that is gone', await refusal('answer', caller.answer()), 'Channel not found');
  check('channels left', await ari.channels.list(), []);
  check('bridges left', await ari.bridges.list(), []);
  ari.stop();
}

client.connect(ARI_URL, ARI_USERNAME, ARI_PASSWORD)
  .then(call)
  .then(() => {
    console.log(`interop node: ok (${checks} checks)`);
    process.exit(0);
  })
  .catch((error) => {
    console.error(`interop node: after ${checks} checks: ${error.stack || error}`);
    process.exit(1);
  });
