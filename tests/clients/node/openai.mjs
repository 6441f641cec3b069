// Asks the OpenAI-compatible API as the official client does and prints what it gives as JSON:
//
//     node openai.mjs BASE_URL MODEL TEXT
import OpenAI from 'openai'

const [baseURL, model, text] = process.argv.slice(2)
const client = new OpenAI({baseURL, apiKey: 'any', maxRetries: 0})
const messages = [{role: 'user', content: text}]

const whole = await client.chat.completions.create({model, messages})
const stream_options = {include_usage: true}
const stream = await client.chat.completions.create({model, messages, stream: true, stream_options})
const pieces = []
let usage = null
for await (const chunk of stream) {
  if (chunk.choices.length) pieces.push(chunk.choices[0].delta.content ?? '')
  usage = chunk.usage ?? usage
}
const failure = await client.chat.completions.create({model: 'none', messages}).catch((error) => error)
const models = []
for await (const each of client.models.list()) models.push(each.id)
console.log(
  JSON.stringify({
    whole: whole.choices[0].message.content,
    pieces,
    usage,
    failure: [failure.constructor.name, failure.status, failure.code],
    models,
  }),
)
