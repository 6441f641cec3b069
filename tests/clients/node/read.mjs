// Reads event streams with the clients of package.json and prints what they make of them as JSON:
// for each stream a list of [event name, data].
//
//     node read.mjs eventsource URL              one stream by GET, up to its [DONE]
//     node read.mjs eventsource-parser URL       a POST for each body in the JSON list on stdin
//     node read.mjs eventsource-resume URL       a POST of the one body in that list, and its stream
//                                                by an EventSource that is left alone until it stops
import {readFileSync} from 'node:fs'
import {EventSource} from 'eventsource'
import {createParser} from 'eventsource-parser'

const DONE = '[DONE]'

function readByGet(url) {
  return new Promise((resolve, reject) => {
    const source = new EventSource(url)
    const events = []
    const take = (event) => {
      events.push([event.type, event.data])
      if (event.data === DONE) {
        source.close()
        resolve([events])
      }
    }
    source.addEventListener('message', take)
    source.addEventListener('usage', take)
    source.addEventListener('error', (event) => reject(new Error(event.message)))
  })
}

async function post(url, body) {
  const events = []
  const parser = createParser({
    onEvent: (event) => events.push([event.event ?? 'message', event.data]),
    onError: (error) => {
      throw error
    },
  })
  const headers = {'Content-Type': 'application/json'}
  const answer = await fetch(url, {method: 'POST', headers, body: JSON.stringify(body)})
  const decoder = new TextDecoder()
  for await (const chunk of answer.body) parser.feed(decoder.decode(chunk, {stream: true}))
  return events
}

async function readByPost(url) {
  const streams = []
  for (const body of JSON.parse(readFileSync(0, 'utf8'))) streams.push(await post(url, body))
  return streams
}

async function readResumed(url) {
  const [body] = JSON.parse(readFileSync(0, 'utf8'))
  const headers = {'Content-Type': 'application/json'}
  const answer = await fetch(url, {method: 'POST', headers, body: JSON.stringify(body)})
  await answer.body.cancel()
  const source = new EventSource(`${url}/${answer.headers.get('Stream-Id')}`)
  const events = []
  const take = (event) => events.push([event.type, event.data])
  source.addEventListener('message', take)
  source.addEventListener('usage', take)
  return new Promise((resolve) => {
    source.addEventListener('error', () => {
      if (source.readyState === source.CLOSED) resolve([events])
    })
  })
}

const [client, url] = process.argv.slice(2)
const read = {
  eventsource: readByGet,
  'eventsource-parser': readByPost,
  'eventsource-resume': readResumed,
}[client]
console.log(JSON.stringify(await read(url)))
