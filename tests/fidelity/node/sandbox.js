// The sandbox as its environment file describes it.
import fs from 'node:fs'
import crypto from 'node:crypto'

const need = (name) => {
  const value = process.env[name]
  if (!value) throw new Error(`${name} is not set. Run .ci/fidelity, which sets it`)
  return value
}

export const sandbox = {
  login: need('SF_LOGIN_URL'),
  clientId: need('SF_CLIENT_ID'),
  username: need('SF_USERNAME'),
  key: fs.readFileSync(need('SF_PRIVATE_KEY_FILE'), 'utf8'),
  keyFile: need('SF_PRIVATE_KEY_FILE'),
  pubsub: need('SF_PUBSUB_ENDPOINT'),
  channel: need('SF_PROVISION_EVENT_CHANNEL'),
  whmcs: need('WHMCS_URL'),
  identifier: need('WHMCS_IDENTIFIER'),
  secret: need('WHMCS_SECRET'),
  control: need('SANDBOX_CONTROL_URL'),
}

/** Calls the control API. */
export async function control(method, path, body) {
  const response = await fetch(sandbox.control + path, {
    method,
    headers: { 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
  return JSON.parse(text)
}

const base64url = (text) => Buffer.from(text).toString('base64url')

/** A signed assertion of the integration user. */
export function assertion() {
  const claims = {
    iss: sandbox.clientId,
    sub: sandbox.username,
    aud: sandbox.login,
    exp: Math.floor(Date.now() / 1000) + 180,
  }
  const input = `${base64url('{"alg":"RS256"}')}.${base64url(JSON.stringify(claims))}`
  const signature = crypto.sign('RSA-SHA256', Buffer.from(input), sandbox.key)
  return `${input}.${signature.toString('base64url')}`
}

/** Rejects with a message when a promise takes longer than ten seconds. */
export function soon(what, promise) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not happen within 10 s`)), 10_000)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}
