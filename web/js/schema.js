// JSON schemas as openapi.json has them: an example of a value, and in words what may be there.

const DEEPEST = 4;
const BOUNDS = {
  minimum: "at least",
  exclusiveMinimum: "above",
  maximum: "at most",
  exclusiveMaximum: "below",
  minLength: "characters: at least",
  maxLength: "characters: at most",
  minItems: "items: at least",
  maxItems: "items: at most",
};

/** A schema with its reference followed. */
function followed(api, schema) {
  const name = schema.$ref?.split("/").at(-1);
  return name ? api.components.schemas[name] : schema;
}

/** The smallest value that a schema asks for. */
export function example(api, schema, depth = 0) {
  const { type, properties = {}, required = [], items, anyOf, enum: values } = followed(api, schema);
  if (anyOf) return example(api, anyOf[0], depth);
  if (values) return values[0];
  if (type === "object" && depth < DEEPEST) {
    return Object.fromEntries(required.map((name) => [name, example(api, properties[name] ?? {}, depth + 1)]));
  }
  if (type === "array" && items && depth < DEEPEST) return [example(api, items, depth + 1)];
  return { integer: 1, number: 1, boolean: false }[type] ?? "";
}

/** The objects that a body may be, each as {title, fields: [{name, required, words}]}. */
export function objects(api, schema) {
  const found = followed(api, schema);
  if (found.anyOf) return found.anyOf.flatMap((each) => objects(api, each));
  const { title = "", properties = {}, required = [] } = found;
  const fields = Object.entries(properties).map(([name, each]) => ({
    name,
    required: required.includes(name),
    words: [inWords(api, each), usual(each)].filter(Boolean).join("; "),
  }));
  fields.sort((a, b) => b.required - a.required);
  return fields.length ? [{ title, fields }] : [];
}

/** "list of string", "integer, at least 0, at most 10", "{name: string, count: integer}". */
export function inWords(api, schema, depth = 0) {
  const found = followed(api, schema);
  if (found.anyOf) return [...new Set(found.anyOf.map((each) => inWords(api, each, depth)))].join(" or ");
  if (found.const !== undefined) return JSON.stringify(found.const);
  if (found.enum) return found.enum.map((value) => JSON.stringify(value)).join(", ");
  const bounds = Object.entries(BOUNDS).map(([key, words]) =>
    found[key] === undefined ? null : `${words} ${found[key].toLocaleString("en")}`,
  );
  return [kind(api, found, depth), ...bounds].filter(Boolean).join(", ");
}

function kind(api, { type, properties, items }, depth) {
  if (depth >= DEEPEST) return type ?? "anything";
  if (type === "array") return items ? `list of ${inWords(api, items, depth + 1)}` : "list";
  if (type !== "object" || !properties) return type ?? "anything";
  return `{${Object.entries(properties).map(([name, each]) => `${name}: ${inWords(api, each, depth + 1)}`).join(", ")}}`;
}

/** What holds where a field is left out. */
function usual({ default: value }) {
  const nothing = value === undefined || value === null || value === "" || value.length === 0;
  return nothing ? "" : `else ${JSON.stringify(value)}`;
}
