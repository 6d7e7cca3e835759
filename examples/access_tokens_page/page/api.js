// Talks to the server. What it refuses comes as an ApiProblem, whose message is a sentence for people.

let csrfToken = "";

export function useCsrfToken(token) {
  csrfToken = token;
}

export class ApiProblem extends Error {
  constructor(status, kind, message) {
    super(message);
    this.status = status;
    this.kind = kind;
  }
}

const PREFIX = "urn:access-tokens:problem:";

async function problemOf(response) {
  let detail = "";
  let kind = "";
  try {
    const body = await response.json();
    detail = body.detail || body.title || "";
    kind = typeof body.type === "string" && body.type.startsWith(PREFIX) ? body.type.slice(PREFIX.length) : "";
  } catch {
    // Not a problem document: a proxy in between may answer in its own words.
  }
  return new ApiProblem(response.status, kind, detail || `The server answered ${response.status}. Try again soon.`);
}

// The answer's JSON, or null if it has none. Throws ApiProblem.
export async function call(method, path, body) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRF-Token"] = csrfToken;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      cache: "no-store",
      redirect: "error",
    });
  } catch {
    throw new ApiProblem(0, "unreachable", "The server cannot be reached. Check the connection and try again.");
  }
  if (!response.ok) {
    const problem = await problemOf(response);
    if (problem.kind === "session-ended" || problem.kind === "not-signed-in") {
      window.dispatchEvent(new CustomEvent("session-ended", { detail: problem.message }));
    }
    throw problem;
  }
  return response.status === 204 ? null : response.json();
}
