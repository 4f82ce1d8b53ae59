// whmcs: https://github.com/apocas/node-whmcs, which sends the credential as user name and password
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { promisify } from 'node:util'
import Whmcs from 'whmcs'
import { sandbox } from './sandbox.js'

const client = (password) =>
  new Whmcs({
    username: sandbox.identifier,
    password,
    serverUrl: `${sandbox.whmcs}/includes/api.php`,
  })
const call = (module, name, ...args) => promisify(module[name]).apply(module, args)

test('customer is created, changed and read with the credential as user name and password', async () => {
  const { customers } = client(sandbox.secret)
  const made = await call(customers, 'createCustomer', {
    firstname: 'Max',
    lastname: 'Muster',
    email: 'max@fidelity.example',
    address1: '1 Row',
    city: 'London',
    state: 'London',
    postcode: 'E1 6AN',
    country: 'GB',
    phonenumber: '123',
    password2: 'secret-enough',
  })
  await call(customers, 'updateCustomer', made.clientid, { companyname: 'Muster & Co' })
  const read = await call(customers, 'getCustomer', made.clientid)
  assert.equal(read.email, 'max@fidelity.example')
  assert.equal(read.companyname, 'Muster &amp; Co')
  const services = await call(customers, 'getCustomerProducts', made.clientid)
  assert.equal(services.totalresults, 0)
})

test('error of the API reaches the callback', async () => {
  const { customers } = client(sandbox.secret)
  await assert.rejects(call(customers, 'getCustomer', 99_999), /Client Not Found/)
  await assert.rejects(call(client('wrong').customers, 'getCustomer', 1))
})
