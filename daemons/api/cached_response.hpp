#pragma once
// A document from a cached read as a response: X-Cache, ETag, and 304 when the
// client has it.

#include "common/http/entity_tag.hpp"
#include "daemons/api/cached_reads.hpp"

namespace flux::api {

inline HttpResponse cached_response(const HttpRequest& request, const CachedDocument& document) {
  HttpResponse response;
  response.add_header("X-Cache", document.hit ? "hit" : "miss");
  response.add_header("ETag", document.tag);
  response.add_header("Cache-Control", "no-cache");  // ask again with If-None-Match
  const auto known = request.header("if-none-match");
  if (!known.empty() && any_tag_matches(known, document.tag))
    response.status = 304;
  else
    response.shared_body = document.body;
  return response;
}

}  // namespace flux::api
