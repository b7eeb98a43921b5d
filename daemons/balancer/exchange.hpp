#pragma once
// One request and its answer: the request is kept until the answer begins, so
// that it can be repeated at another upstream; bodies are streamed both ways,
// reading from one side only when the other has taken what was read.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "daemons/balancer/body_stream.hpp"
#include "daemons/balancer/byte_queue.hpp"
#include "daemons/balancer/dispatch.hpp"
#include "daemons/balancer/event_loop.hpp"
#include "daemons/balancer/request_head.hpp"
#include "daemons/balancer/response_head.hpp"

namespace flux::balancer {

class ClientConnection;
class UpstreamConnection;
class Worker;

enum class UpstreamFailure : std::uint8_t {
  connect,   // nothing was sent
  closed,    // it closed or reset the connection
  timeout,   // no answer in time
  protocol,  // an answer that may not be forwarded
};

class Exchange final : public Mortal {
 public:
  Exchange(Worker& worker, ClientConnection& client);
  ~Exchange() override;

  // `rest` is what came behind the head.
  void begin(const RequestHead& head, char* rest, std::size_t size);
  void refuse_head(const Refusal& refusal);
  // Answers on the balancer's own account. `reason` goes to X-Flux-Reason and the log.
  void answer(int status, std::string_view reason, bool close);

  // From the dispatch.
  void attach(UpstreamSlot& slot);
  void give_up_waiting();

  // From the upstream connection.
  void on_connected();
  void on_upstream_ready(bool writable);
  void on_upstream_failed(UpstreamFailure failure, std::string_view reason);
  void on_upstream_deadline();

  // From the client connection.
  void on_client_readable();
  void on_client_drained();
  void on_client_gone();
  void on_request_too_slow();
  bool wants_request_body() const;

  bool idempotent() const { return idempotent_; }
  bool answer_begun() const { return answer_begun_; }
  bool tried(const Upstream* upstream) const;
  bool may_repeat() const;

 private:
  friend class Dispatch;
  enum class Tunnel : std::uint8_t { none, open };

  void write_request(const RequestHead& head);
  void write_forwarded(const RequestHead& head);
  void take_request_body(char* data, std::size_t size, bool into_kept_request);
  void send_request();
  void read_request_body();
  void read_response();
  bool take_response_head(char* data, std::size_t size);
  bool start_answer(const ResponseHead& head, char* rest, std::size_t size);
  bool repeat_instead(const ResponseHead& head);
  void relay_body(iovec* pieces, std::size_t count, char* data, std::size_t size);
  void on_send_failed();
  void on_response_end();
  void finish(bool reusable);
  void leave_upstream(bool reusable);
  void bad_response(std::string_view reason);
  void open_tunnel(char* rest, std::size_t size);
  void run_tunnel();
  void record_end();
  std::string_view request_id() const { return kept_.view().substr(id_at_, id_size_); }

  Worker& worker_;
  ClientConnection& client_;
  PoolSlot* pool_ = nullptr;
  UpstreamSlot* slot_ = nullptr;
  UpstreamConnection* connection_ = nullptr;

  ByteQueue kept_;  // the request as it is sent: head, and the body bytes that came with it
  std::size_t kept_sent_ = 0;
  BodyReader request_body_;
  BodyReader response_body_;
  HeadScan scan_;

  bool chunk_request_ = false;
  bool chunk_answer_ = false;
  bool http11_ = true;
  bool is_head_ = false;
  bool idempotent_ = false;
  bool keep_client_ = true;
  bool upgrade_ = false;
  bool body_streamed_ = false;  // body bytes went on that were not kept
  bool sent_any_ = false;       // at this attempt
  bool answer_begun_ = false;
  bool ended_ = false;
  bool is_retry_ = false;
  bool holds_place_ = false;    // counts against what its upstream may have at once
  bool upstream_deaf_ = false;  // it takes no more of the request, but may have answered
  bool yielded_ = false;        // much was read at once; the others' turn
  bool upstream_keeps_ = true;
  bool saw_final_head_ = false;
  bool stale_retry_ = false;
  bool set_sticky_ = false;
  Tunnel tunnel_ = Tunnel::none;
  bool client_half_closed_ = false;
  bool upstream_half_closed_ = false;

  std::uint8_t attempts_ = 0;
  std::int16_t status_ = 0;
  std::uint32_t keep_ms_ = 0;
  std::uint16_t id_at_ = 0;
  std::uint16_t id_size_ = 0;
  std::uint16_t target_at_ = 0;
  std::uint16_t target_size_ = 0;
  std::array<const Upstream*, 6> tried_{};
  std::uint64_t key_ = 0;     // for `hash`
  std::uint64_t sticky_ = 0;  // the identity a sticky cookie asks for
  std::uint64_t bytes_in_ = 0;
  std::uint64_t bytes_out_ = 0;
  std::int64_t began_ns_ = 0;
  std::int64_t attached_ns_ = 0;
  std::string_view reason_;  // static text

  Exchange* next_waiting_ = nullptr;  // in a WaitingLine
  Exchange* previous_waiting_ = nullptr;
  WaitingLine* line_ = nullptr;
  std::int64_t waits_until_ms_ = 0;
};

}  // namespace flux::balancer
