"""GitHub's GraphQL, as far as ``gh`` asks it here: executed, so that a wrong query is refused."""

from typing import Any

import github_pulls
from github_rest import Call, GitHubError, Reply, Routes
from graphql import GraphQLError, build_schema, graphql_sync

routes = Routes()

# The part of GitHub's own schema that is answered; all that is not in it is an error.
SCHEMA = build_schema(
    """
    type Query {
      repository(owner: String!, name: String!): Repository
    }
    type Repository {
      pullRequest(number: Int!): PullRequest
      release(tagName: String!): Release
    }
    type Release {
      databaseId: Int
      isDraft: Boolean!
    }
    enum PullRequestState { CLOSED MERGED OPEN }
    type PullRequest {
      id: ID!
      number: Int!
      state: PullRequestState!
      isDraft: Boolean!
    }
    type Mutation {
      convertPullRequestToDraft(input: ConvertPullRequestToDraftInput!):
        ConvertPullRequestToDraftPayload
      markPullRequestReadyForReview(input: MarkPullRequestReadyForReviewInput!):
        MarkPullRequestReadyForReviewPayload
    }
    input ConvertPullRequestToDraftInput { clientMutationId: String pullRequestId: ID! }
    type ConvertPullRequestToDraftPayload { clientMutationId: String pullRequest: PullRequest }
    input MarkPullRequestReadyForReviewInput { clientMutationId: String pullRequestId: ID! }
    type MarkPullRequestReadyForReviewPayload { clientMutationId: String pullRequest: PullRequest }
    """
)


class Root:
    """Where every query begins: one method for each field of Query and Mutation."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def repository(self, info: Any, owner: str, name: str) -> "Repository | None":
        full_name = f"{owner}/{name}"
        readable = self.call.github.may_read(full_name, self.call.token)
        return Repository(self.call, full_name) if readable else None

    def convertPullRequestToDraft(self, info: Any, input: dict[str, str]) -> dict[str, Any]:  # noqa: N802
        return self._set_draft(input["pullRequestId"], draft=True)

    def markPullRequestReadyForReview(self, info: Any, input: dict[str, str]) -> dict[str, Any]:  # noqa: N802
        return self._set_draft(input["pullRequestId"], draft=False)

    def _set_draft(self, wanted: str, *, draft: bool) -> dict[str, Any]:
        for name, known in self.call.github.state["repositories"].items():
            for pull in known["pulls"].values():
                if f"PR_{pull['id']}" != wanted:
                    continue
                if not self.call.github.may_write(name, self.call.token):
                    raise GraphQLError("Resource not accessible by integration")
                if draft and not known.get("drafts", True):
                    raise GraphQLError(github_pulls.NO_DRAFTS)
                pull["draft"] = draft
                return {"pullRequest": answer(pull)}
        raise GraphQLError(f"Could not resolve to a node with the global id of '{wanted}'")


class Repository:
    def __init__(self, call: Call, name: str) -> None:
        self.known = call.github.state["repositories"][name]

    def release(self, info: Any, tagName: str) -> None:  # noqa: N803
        """Return none: ``gh release download`` asks whether there is a draft."""

    def pullRequest(self, info: Any, number: int) -> dict[str, Any]:  # noqa: N802
        if str(number) not in self.known["pulls"]:
            raise GraphQLError(f"Could not resolve to a PullRequest with the number of {number}.")
        return answer(self.known["pulls"][str(number)])


def answer(pull: dict[str, Any]) -> dict[str, Any]:
    state = "MERGED" if pull["merged_at"] else pull["state"].upper()
    return {
        "id": f"PR_{pull['id']}",
        "number": pull["number"],
        "state": state,
        "isDraft": pull["draft"],
    }


@routes.serve("POST", "/graphql", "query")
def graphql(call: Call) -> Reply:
    if not call.token.login:
        raise GitHubError(401)
    variables = call.body.get("variables")
    done = graphql_sync(SCHEMA, call.body["query"], Root(call), variable_values=variables)
    return Reply(200, done.formatted)
