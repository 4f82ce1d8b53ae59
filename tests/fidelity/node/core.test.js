// @salesforce/core: the library of the sf command line.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { sandbox } from './sandbox.js'

// The library keeps its logins in the home folder, which it asks for while it is loaded.
const home = fs.mkdtempSync(path.join(os.tmpdir(), 'fidelity-'))
Object.assign(process.env, {
  HOME: home,
  SF_USE_GENERIC_UNIX_KEYCHAIN: 'true',
  SF_DISABLE_TELEMETRY: 'true',
  SF_DISABLE_LOG_FILE: 'true',
  SFDX_AUDIENCE_URL: sandbox.login,
  SF_AUDIENCE_URL: sandbox.login,
})
const { AuthInfo, Connection, Org } = await import('@salesforce/core')

let org

before(async () => {
  const auth = await AuthInfo.create({
    username: sandbox.username,
    oauth2Options: {
      clientId: sandbox.clientId,
      loginUrl: sandbox.login,
      privateKeyFile: sandbox.keyFile,
    },
  })
  await auth.save()
  org = await Org.create({
    connection: await Connection.create({ authInfo: auth }),
  })
})

after(() => fs.rmSync(home, { recursive: true, force: true }))

test('JWT login gives the ids of org and user', () => {
  assert.match(org.getOrgId(), /^00D/)
  assert.equal(org.getUsername(), sandbox.username)
})

test('newest API version is found', async () => {
  assert.match(await org.retrieveMaxApiVersion(), /^\d\d\.0$/)
})

test('connection queries and follows pages', async () => {
  const connection = org.getConnection()
  const found = await connection.query('SELECT Name, OrganizationType FROM Organization')
  assert.equal(found.totalSize, 1)
  assert.equal(await connection.singleRecordQuery('SELECT Id FROM Organization').then((row) => row.Id), org.getOrgId())
})

test('record is created, read, updated and deleted', async () => {
  const connection = org.getConnection()
  const made = await connection.sobject('Account').create({ Name: 'From core' })
  assert.ok(made.success)
  await connection.sobject('Account').update({ Id: made.id, Phone: '2' })
  assert.equal((await connection.sobject('Account').retrieve(made.id)).Phone, '2')
  assert.ok((await connection.sobject('Account').destroy(made.id)).success)
})

test('access token is renewed when the session ended', async () => {
  const connection = org.getConnection()
  const before = connection.accessToken
  await fetch(`${sandbox.control}/knobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"revoke_tokens":true}',
  })
  assert.equal((await connection.query('SELECT Id FROM Organization')).totalSize, 1)
  assert.notEqual(connection.accessToken, before)
})
