// whmcs-js: https://github.com/DamageESP/whmcs-js
import assert from 'node:assert/strict'
import { test } from 'node:test'
import whmcs from 'whmcs-js'
import { sandbox } from './sandbox.js'

const config = {
  serverUrl: `${sandbox.whmcs}/includes/api.php`,
  identifier: sandbox.identifier,
  secret: sandbox.secret,
}
const orders = new whmcs.Orders(config)
const clients = new whmcs.Clients(config)
const billing = new whmcs.Billing(config)

test('order is added, listed, accepted and its services are active', async () => {
  const made = await orders.addOrder({
    clientid: 1,
    paymentmethod: 'banktransfer',
    'pid[0]': 1,
    'billingcycle[0]': 'monthly',
  })
  assert.equal(made.result, 'success', JSON.stringify(made))
  const listed = await orders.getOrders({ id: made.orderid })
  assert.equal(listed.orders.order[0].lineitems.lineitem.length, 1)
  assert.equal((await orders.acceptOrder({ orderid: made.orderid })).result, 'success')
  const services = await clients.getClientsProducts({ serviceid: made.serviceids })
  assert.equal(services.products.product[0].status, 'Active')
  const invoice = await billing.getInvoice({ invoiceid: made.invoiceid })
  assert.equal(invoice.items.item.length, 1)
  assert.equal(invoice.items.item[0].type, 'Hosting')
})

test('catalogue is read by product and group', async () => {
  const one = await orders.getProducts({ pid: 1 })
  assert.equal(one.products.product[0].pid, 1)
  assert.equal((await orders.getProducts({ gid: 999 })).totalresults, 0)
})

test('client is added and read', async () => {
  const made = await clients.addClient({
    firstname: 'Zoë',
    lastname: "O'Neil",
    email: 'zoe@fidelity.example',
    address1: '1 Row',
    city: 'London',
    state: 'London',
    postcode: 'E1 6AN',
    country: 'GB',
    phonenumber: '123',
    password2: 'secret-enough',
  })
  assert.equal(made.result, 'success', JSON.stringify(made))
  const read = await clients.getClientsDetails({ clientid: made.clientid })
  assert.equal(read.client.firstname, 'Zoë')
  assert.equal(read.client.lastname, 'O&#039;Neil')
})

test('wrong credential is refused as an error of the API', async () => {
  const other = new whmcs.Orders({ ...config, secret: 'wrong' })
  const answer = await other.getOrderStatuses({})
  assert.equal(answer.result, 'error')
})
