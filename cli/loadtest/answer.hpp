#pragma once
// Judges an answer by its step: status, checks, and what it puts into variables.

#include <string>

#include "cli/loadtest/recorder.hpp"
#include "cli/loadtest/response_reader.hpp"

namespace flux::loadtest {

// Fills in error, status and checks; sets the variables that the step extracts.
void judge_answer(const Step& step, unsigned status, const AnswerParts& parts, std::string* variables,
                  Outcome& outcome);

// The same for a WebSocket message, which has neither status nor headers.
void judge_message(const Step& step, const std::string& payload, std::string* variables, Outcome& outcome);

}  // namespace flux::loadtest
