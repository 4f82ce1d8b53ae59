// jsforce: https://jsforce.github.io
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import jsforce from 'jsforce'
import { assertion, control, sandbox } from './sandbox.js'

const API = '66.0'
let org
let account

before(async () => {
  org = new jsforce.Connection({ loginUrl: sandbox.login, instanceUrl: sandbox.login, version: API })
  await org.authorize({
    grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
    assertion: assertion(),
  })
  account = (await org.sobject('Account').create({ Name: 'Fidelity' })).id
})

const contact = (fields) => ({ AccountId: account, LastName: 'Fidelity', ...fields })

test('login answers an instance of the same origin and the ids of org and user', async () => {
  assert.equal(new URL(org.instanceUrl).protocol, 'https:')
  assert.match(org.userInfo.organizationId, /^00D\w{15}$/)
  assert.match(org.userInfo.id, /^005\w{15}$/)
})

test('identity is read from the URL that the login answered', async () => {
  const identity = await org.identity()
  assert.equal(identity.organization_id, org.userInfo.organizationId)
  assert.equal(identity.user_id, org.userInfo.id)
  assert.equal(identity.username, sandbox.username)
  assert.ok(identity.urls.rest)
})

test('record is created, read, updated and deleted', async () => {
  const rows = org.sobject('Contact')
  const made = await rows.create(contact({ FirstName: 'Ann' }))
  assert.equal(made.success, true)
  await rows.update({ Id: made.id, FirstName: 'Anna' })
  const read = await rows.retrieve(made.id)
  assert.equal(read.FirstName, 'Anna')
  assert.equal(read.attributes.type, 'Contact')
  assert.match(read.CreatedById, /^005/)
  assert.equal(read.IsDeleted, false)
  assert.equal((await rows.destroy(made.id)).success, true)
  await assert.rejects(rows.retrieve(made.id), { errorCode: /NOT_FOUND|ENTITY_IS_DELETED/ })
})

test('error of an unknown field has code, message and HTTP status', async () => {
  await assert.rejects(org.sobject('Contact').create(contact({ Nope__c: 1 })), (error) => {
    assert.equal(error.errorCode, 'INVALID_FIELD')
    assert.match(error.message, /Nope__c/)
    return true
  })
})

test('upsert by external id creates once and updates then', async () => {
  const order = (key, fields) => ({
    Portal_Order_Key__c: key,
    AccountId: account,
    EffectiveDate: '2026-12-01',
    Status: 'Pending Review',
    ...fields,
  })
  const orders = org.sobject('Order')
  const first = await orders.upsert(order('jsforce-1'), 'Portal_Order_Key__c')
  assert.equal(first.success, true)
  const again = await orders.upsert(
    { Portal_Order_Key__c: 'jsforce-1', Description: 'second' },
    'Portal_Order_Key__c',
  )
  assert.equal(again.id, first.id)
  assert.equal((await orders.retrieve(first.id)).Description, 'second')
})

test('collections are created, read, updated, upserted and deleted', async () => {
  const rows = org.sobject('Contact')
  const made = await rows.create(['One', 'Two', 'Three'].map((FirstName) => contact({ FirstName })))
  assert.deepEqual(made.map((one) => one.success), [true, true, true])
  const ids = made.map((one) => one.id)
  const updated = await rows.update(ids.map((Id) => ({ Id, Phone: '1' })))
  assert.deepEqual(updated.map((one) => one.id), ids)
  const read = await rows.retrieve(ids)
  assert.deepEqual(read.map((one) => one.Phone), ['1', '1', '1'])
  const deleted = await rows.destroy(ids)
  assert.deepEqual(deleted.map((one) => [one.id, one.success]), ids.map((id) => [id, true]))

  const keyed = (key) => ({
    Portal_Order_Key__c: key,
    AccountId: account,
    EffectiveDate: '2026-12-01',
    Status: 'Pending Review',
  })
  const upserted = await org
    .sobject('Order')
    .upsert([keyed('jsforce-many-1'), keyed('jsforce-many-2')], 'Portal_Order_Key__c')
  assert.deepEqual(upserted.map((one) => one.success), [true, true])
})

test('collection answers one result per record and keeps what succeeded', async () => {
  const results = await org
    .sobject('Contact')
    .create([contact({ FirstName: 'Good' }), { AccountId: account, FirstName: 'No last name' }])
  assert.deepEqual(results.map((one) => one.success), [true, false])
  assert.equal(results[1].errors[0].statusCode, 'REQUIRED_FIELD_MISSING')
  await org.sobject('Contact').destroy(results[0].id)
})

test('query reads parents and child rows, and pages', async () => {
  const placed = await control('POST', '/orders', { lines: [[0, 1], [1, 2]] })
  const found = await org.query(
    `SELECT Id, Account.Name, (SELECT Id, Quantity, Product2.Name FROM OrderItems) FROM Order WHERE Id = '${placed.id}'`,
  )
  assert.equal(found.totalSize, 1)
  assert.equal(found.records[0].OrderItems.totalSize, 2)
  assert.equal(typeof found.records[0].Account.Name, 'string')

  const many = Array.from({ length: 450 }, (_, at) => contact({ FirstName: `P${at}`, LastName: 'Paged' }))
  for (let at = 0; at < many.length; at += 150) {
    await org.sobject('Contact').create(many.slice(at, at + 150))
  }
  const page = await org.query("SELECT Id FROM Contact WHERE LastName = 'Paged'", {
    headers: { 'Sforce-Query-Options': 'batchSize=200' },
  })
  assert.equal(page.done, false)
  assert.equal(page.totalSize, 450)
  let rows = page.records.length
  for (let next = page; !next.done; ) {
    next = await org.queryMore(next.nextRecordsUrl)
    rows += next.records.length
  }
  assert.equal(rows, 450)
  const fetched = await org
    .query("SELECT Id FROM Contact WHERE LastName = 'Paged'")
    .execute({ autoFetch: true, maxFetch: 10_000 })
  assert.equal((fetched.records ?? fetched).length, 450)
})

test('queryAll finds deleted rows', async () => {
  const made = await org.sobject('Contact').create(contact({ FirstName: 'Gone' }))
  await org.sobject('Contact').destroy(made.id)
  const text = `SELECT Id, IsDeleted FROM Contact WHERE Id = '${made.id}'`
  assert.equal((await org.query(text)).totalSize, 0)
  const all = await org.query(text, { scanAll: true })
  assert.deepEqual(all.records.map((row) => row.IsDeleted), [true])
})

test('malformed query is refused with its code', async () => {
  await assert.rejects(org.query('SELECT FROM'), { errorCode: 'MALFORMED_QUERY' })
})

test('object is described', async () => {
  const all = await org.describeGlobal()
  assert.ok(all.sobjects.some((one) => one.name === 'Order' && one.queryable))
  const order = await org.sobject('Order').describe()
  const status = order.fields.find((field) => field.name === 'Status')
  assert.equal(status.type, 'picklist')
  assert.ok(status.picklistValues.some((value) => value.value === 'Approved'))
  const owner = order.fields.find((field) => field.name === 'OwnerId')
  assert.deepEqual(owner.referenceTo.includes('User'), true)
})

test('composite creates an order with its items in one call', async () => {
  const [entry] = (await org.query('SELECT Id, Pricebook2Id FROM PricebookEntry LIMIT 1')).records
  const answer = await org.request({
    method: 'POST',
    url: `/services/data/v${API}/composite`,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      allOrNone: true,
      compositeRequest: [
        {
          method: 'PATCH',
          referenceId: 'order',
          url: `/services/data/v${API}/sobjects/Order/Portal_Order_Key__c/composite-1`,
          body: {
            AccountId: account,
            EffectiveDate: '2026-12-01',
            Status: 'Pending Review',
            Pricebook2Id: entry.Pricebook2Id,
          },
        },
        {
          method: 'POST',
          referenceId: 'item',
          url: `/services/data/v${API}/sobjects/OrderItem`,
          body: { OrderId: '@{order.id}', PricebookEntryId: entry.Id, Quantity: 1, UnitPrice: 5 },
        },
      ],
    }),
  })
  const parts = answer.compositeResponse
  assert.deepEqual(parts.map((part) => part.httpStatusCode), [201, 201])
  assert.match(parts[1].httpHeaders.Location, /\/sobjects\/OrderItem\/802/)
})

test('event is published over REST', async () => {
  const made = await org
    .sobject('OrderProvisionRequested__e')
    .create({ OrderId__c: '801000000000001AAA' })
  assert.equal(made.success, true)
  await assert.rejects(org.sobject('OrderProvisionRequested__e').create({ Nope__c: 'x' }), {
    errorCode: 'INVALID_FIELD',
  })
})

test('limits and versions are answered', async () => {
  assert.ok((await org.limits()).DailyApiRequests.Max > 0)
  const versions = await org.request('/services/data')
  assert.ok(versions.some((one) => one.version === API))
})

test('revoked session is refused, and others live on', async () => {
  const other = new jsforce.Connection({ loginUrl: sandbox.login, instanceUrl: sandbox.login })
  await other.authorize({
    grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
    assertion: assertion(),
  })
  await other.logout()
  assert.ok((await org.query('SELECT Id FROM Account LIMIT 1')).done)
})
