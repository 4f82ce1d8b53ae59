// salesforce-pubsub-api-client: https://github.com/pozil/pub-sub-api-node-client
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import PubSubApiClient from 'salesforce-pubsub-api-client'
import { control, sandbox, soon } from './sandbox.js'

const quiet = { debug() {}, info() {}, warn() {}, error() {} }
const { channel } = sandbox
const clients = []

/** A connected client. The library has the vendor's authorities built in, and an option for others. */
async function connected() {
  const client = new PubSubApiClient(
    {
      authType: 'oauth-jwt-bearer',
      loginUrl: sandbox.login,
      clientId: sandbox.clientId,
      username: sandbox.username,
      privateKey: sandbox.key,
      pubSubEndpoint: new URL(sandbox.pubsub).host,
      rejectUnauthorizedSsl: false,
    },
    quiet,
  )
  await client.connect()
  clients.push(client)
  return client
}

/** Collects what a subscription calls back. */
function collector() {
  const seen = []
  const waiting = []
  const check = () => waiting.forEach((one) => one())
  const collect = (info, type, data) => {
    seen.push({ type, data })
    check()
  }
  const until = (what, enough) =>
    soon(
      what,
      new Promise((resolve) => {
        const look = () => enough(seen) && resolve(seen)
        waiting.push(look)
        look()
      }),
    )
  const events = () => seen.filter((one) => one.type === 'event').map((one) => one.data)
  return { collect, until, events }
}

const published = async (count) => {
  const made = []
  for (let at = 0; at < count; at += 1) {
    made.push(await control('POST', '/events', { OrderId__c: '801000000000001AAA', IdemKey__c: `k${at}` }))
  }
  return made
}
const number = (hex) => Number(BigInt(`0x${hex.slice(0, 16)}`))

let client

before(async () => {
  await control('POST', '/knobs', { bus: { keepalive_ms: 300 } })
  client = await connected()
})

after(async () => {
  clients.forEach((one) => one.close())
  await control('POST', '/knobs', { bus: { keepalive_ms: 60_000 } })
})

// The library reads the schema between two events, so that its callbacks may come in another order.
test('more than 1,000 retained events arrive once each, with top-ups', async () => {
  const made = await published(1_050)
  const own = await connected()
  const { collect, until, events } = collector()
  own.subscribeFromEarliestEvent(channel, collect)
  const last = made.at(-1).event_id
  await until('every event', () => events().some((event) => event.id === last) && events().length >= made.length)
  const ids = events().map((event) => event.id)
  assert.equal(new Set(ids).size, ids.length)
  const wanted = made.map((one) => one.event_id)
  const sorted = events().toSorted((left, right) => left.replayId - right.replayId)
  const ours = sorted.filter((event) => wanted.includes(event.id))
  assert.deepEqual(ours.map((event) => event.id), wanted)
  assert.equal(ours.at(-1).payload.IdemKey__c, 'k1049')
})

test('subscription from a replay id starts after it', async () => {
  const [first, second] = await published(2)
  const own = await connected()
  const { collect, until, events } = collector()
  own.subscribeFromReplayId(channel, collect, 1, number(first.replay_id))
  await until('the last event', (seen) => seen.some((one) => one.type === 'lastEvent'))
  assert.deepEqual(events().map((event) => event.id), [second.event_id])
})

test('new events and keepalives arrive on a subscription to the latest', async () => {
  const own = await connected()
  const { collect, until, events } = collector()
  own.subscribe(channel, collect)
  await until('a keepalive', (seen) => seen.some((one) => one.type === 'grpcKeepAlive'))
  const [made] = await published(1)
  await until('the event', () => events().length > 0)
  assert.deepEqual(events().map((event) => event.id), [made.event_id])
})

test('corrupted replay id ends the stream with its error code', async () => {
  const own = await connected()
  const { collect, until } = collector()
  own.subscribeFromReplayId(channel, collect, 1, 3)
  const seen = await until('the error', (seen) => seen.some((one) => one.type === 'error'))
  const { data } = seen.find((one) => one.type === 'error')
  assert.equal(data.code, 3)
  assert.deepEqual(data.metadata.get('error-code'), [
    'sfdc.platform.eventbus.grpc.subscription.fetch.replayid.corrupted',
  ])
})

test('unknown topic ends the stream with its error code', async () => {
  const own = await connected()
  const { collect, until } = collector()
  own.subscribe('/event/Nope__e', collect)
  const seen = await until('the error', (seen) => seen.some((one) => one.type === 'error'))
  assert.equal(seen.find((one) => one.type === 'error').data.code, 5)
})

test('published event is delivered with its payload', async () => {
  const own = await connected()
  const { collect, until, events } = collector()
  own.subscribe(channel, collect)
  await until('a keepalive', (seen) => seen.some((one) => one.type === 'grpcKeepAlive'))
  const result = await client.publish(channel, {
    CreatedDate: Date.now(),
    CreatedById: '005000000000001AAA',
    OrderId__c: { string: '801000000000001AAA' },
    IdemKey__c: { string: 'published' },
    CorrelationId__c: null,
    RequestedBy__c: null,
    Version__c: { double: 1 },
  })
  assert.equal(typeof result.replayId, 'number')
  await until('the event', () => events().length > 0)
  assert.equal(events()[0].payload.IdemKey__c, 'published')
  assert.equal(events()[0].replayId, result.replayId)
})

test('batch is published on a stream and answered in order', async () => {
  const { collect, until } = collector()
  const payload = (key) => ({
    CreatedDate: Date.now(),
    CreatedById: '005000000000001AAA',
    OrderId__c: { string: '801000000000001AAA' },
    IdemKey__c: { string: key },
    CorrelationId__c: null,
    RequestedBy__c: null,
    Version__c: null,
  })
  const batch = ['a', 'b', 'c'].map((key) => ({ id: `batch-${key}`, payload: payload(key) }))
  await client.publishBatch(channel, batch, collect)
  const seen = await until('the answer', (seen) => seen.some((one) => one.type === 'publishResponse'))
  const { data } = seen.find((one) => one.type === 'publishResponse')
  assert.deepEqual(data.results.map((one) => one.correlationKey), ['batch-a', 'batch-b', 'batch-c'])
})

test('managed subscription is found by name, followed and committed', async () => {
  const name = 'Fidelity_Managed'
  await control('POST', '/managed', { developer_name: name, default_replay: 'LATEST' })
  const own = await connected()
  const { collect, until, events } = collector()
  await own.subscribeWithManagedSubscription(name, collect, 5)
  await until('a keepalive', (seen) => seen.some((one) => one.type === 'grpcKeepAlive'))
  const [made] = await published(1)
  await until('the event', () => events().some((event) => event.id === made.event_id))
  const { id } = await control('GET', `/managed/${name}`)
  own.commitReplayId(id, events()[0].replayId)
  const committed = async () => (await control('GET', `/managed/${name}`)).committed
  await soon('the commit', (async () => {
    while (!(await committed())) { /* asks the sandbox again */ }
  })())
  assert.equal(number(await committed()), events()[0].replayId)
})

// Moves the clock: keep it last.
test('replay id older than 72 hours is refused after the login was renewed', async () => {
  const [made] = await published(1)
  await control('POST', '/knobs', { clock_seconds: 73 * 3600 })
  try {
    const own = await connected()
    const { collect, until } = collector()
    own.subscribeFromReplayId(channel, collect, 1, number(made.replay_id))
    const seen = await until('the error', (seen) => seen.some((one) => one.type === 'error'))
    assert.deepEqual(seen.find((one) => one.type === 'error').data.metadata.get('error-code'), [
      'sfdc.platform.eventbus.grpc.subscription.fetch.replayid.corrupted',
    ])
  } finally {
    await control('POST', '/knobs', { clock_seconds: -73 * 3600 })
  }
})
