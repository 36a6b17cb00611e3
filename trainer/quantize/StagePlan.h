// SPDX-License-Identifier: Apache-2.0
//
// How many stages each matrix gets: one number for all, others for those that a
// name matches, or what a budget of bits is best spent on.
#pragma once

#include "dialect/phase/Phase.h"
#include "trainer/model/Model.h"

#include <array>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace fairy2::trainer {

/// Matrices whose name a regular expression (ECMAScript) finds something in.
struct StagesFor {
  std::string expression; ///< as it was given, "REGEX=T" or "REGEX"
  std::string regex;
  int stages = 0; ///< 0: they stay dense
};

/// Whether a choice is one for the matrix of that name.
bool matches(const StagesFor &choice, const std::string &name);

/// Reads "REGEX=T", and "REGEX" of what stays dense. Throws Error.
StagesFor parseStagesFor(const std::string &text);
StagesFor parseKeep(const std::string &text);

/// By parameter; 0: it stays dense.
using StagePlan = std::vector<int>;

/// Layers' matrices get `stages`, unless an extent is odd, which `note` is told
/// of; what `choices` match is theirs, of several the last's. Throws Error when
/// one matches no matrix.
StagePlan planStages(const Model &model, int stages,
                     const std::vector<StagesFor> &choices,
                     const std::function<void(const std::string &)> &note);

/// Bits of a matrix's codes, of its factors as 8-bit powers of 2^(1/16), and of
/// its scale.
int64_t storedBits(const Parameter &parameter, int stages);
/// The same per weight of all matrices that are coded.
double bitsPerWeight(const Model &model, const StagePlan &plan);

/// The scheme of a checkpoint whose matrices have as many stages as `plan`
/// says; its own number is the largest.
PhaseScheme schemeOf(const StagePlan &plan);

/// Predicted losses of a matrix at 1 to 6 stages.
using StageLosses = std::array<double, 6>;

/// Spends `bits` per weight, with factors, where they lower the sum of losses
/// most: each matrix of `losses` begins with one stage, and in turn the one
/// that gains most per weight gets another. Matrices without losses keep their
/// stages and count.
void spendBits(const Model &model, double bits,
               const std::map<size_t, StageLosses> &losses, StagePlan &plan);

} // namespace fairy2::trainer
