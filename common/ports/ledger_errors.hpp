#pragma once
// What every ledger answers when a precondition does not hold, so that callers
// read the same sentence whichever engine is behind the port.

#include <string>

#include "common/ports/ledger.hpp"

namespace flux {

inline Error unknown_product(const std::string& product_id) {
  return {Errc::not_found, "no product '" + product_id + "' in the ledger"};
}

inline Error stock_below_confirmed(const std::string& product_id, std::int64_t stock,
                                   std::int64_t confirmed) {
  return {Errc::invalid_argument, "stock " + std::to_string(stock) + " of product '" + product_id +
                                      "' is below the " + std::to_string(confirmed) + " already confirmed"};
}

inline Result<> check_product(const LedgerProduct& product) {
  if (!is_valid_id(product.product_id))
    return Error{Errc::invalid_argument, "not a product id: '" + product.product_id + "'"};
  if (product.stock < 0 || product.stock > kMaxStock)
    return Error{Errc::invalid_argument, "stock must be 0 to " + std::to_string(kMaxStock)};
  if (product.buckets < 1 || product.buckets > kMaxBuckets)
    return Error{Errc::invalid_argument, "buckets must be 1 to " + std::to_string(kMaxBuckets)};
  return {};
}

inline Error unknown_workflow(const Uuid& id) {
  return {Errc::not_found, "no workflow " + id.to_string()};
}

inline Error workflow_exists(const Uuid& id) {
  return {Errc::already_exists, "another workflow " + id.to_string() + " is in the ledger already"};
}

inline Error stale_workflow(const Uuid& id, std::int64_t expected, std::int64_t present) {
  return {Errc::conflict, "workflow " + id.to_string() + " is at version " + std::to_string(present) +
                              ", not " + std::to_string(expected)};
}

inline Error unknown_run(const Uuid& id) {
  return {Errc::not_found, "no run " + id.to_string()};
}

inline Error run_past_queued(const Uuid& id) {
  return {Errc::conflict, "run " + id.to_string() + " has started"};
}

inline Error unknown_job(const Uuid& id) {
  return {Errc::not_found, "no job " + id.to_string()};
}

inline Error job_taken_again(const Uuid& id) {
  return {Errc::fenced, "job " + id.to_string() + " was taken again after its lease ran out"};
}

}  // namespace flux
