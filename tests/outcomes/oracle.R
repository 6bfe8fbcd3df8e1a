# What R says of tables that ship with R. The tables and every figure are written to the folder named on the command line; nothing is stored.
suppressMessages({library(survival); library(cmprsk)})
out <- commandArgs(TRUE)[1]
figures <- file(file.path(out, "figures.txt"), "w")
say <- function(name, ...) cat(name, formatC(as.numeric(unlist(list(...))), digits = 12, format = "g"), "\n", file = figures)
keep <- function(table, name) write.csv(table, file.path(out, paste0(name, ".csv")), row.names = FALSE)

lungs <- na.omit(lung[, c("inst", "time", "status", "age", "sex", "ph.ecog")])
lungs$status <- lungs$status - 1
keep(lungs, "lung")
fit <- coxph(Surv(time, status) ~ age + sex + ph.ecog, lungs)
say("cox.coef", coef(fit)); say("cox.se", sqrt(diag(vcov(fit)))); say("cox.loglik", fit$loglik)
say("cox.p", summary(fit)$coef[, 5]); say("cox.ci", t(summary(fit)$conf.int[, 3:4]))
say("cox.zph", cox.zph(fit)$table[, 1]); say("cox.zph.p", cox.zph(fit)$table[, 3])
say("cox.dfbeta", t(residuals(fit, "dfbeta")))
say("cox.c", summary(fit)$concordance)
clustered <- coxph(Surv(time, status) ~ age + sex + ph.ecog, lungs, cluster = inst)
say("cluster.se", summary(clustered)$coef[, 4])
at <- qt(.975, length(unique(lungs$inst)) - 1)
say("cluster.ci", rbind(exp(coef(clustered) - at * summary(clustered)$coef[, 4]), exp(coef(clustered) + at * summary(clustered)$coef[, 4])))
say("cluster.p", 2 * pt(-abs(summary(clustered)$coef[, 5]), length(unique(lungs$inst)) - 1))
say("cluster.c.se", sqrt(concordance(Surv(time, status) ~ predict(fit), lungs, reverse = TRUE, cluster = inst)$var))
say("cox.survival.365", summary(survfit(fit, newdata = lungs), times = 365)$surv)
km <- summary(survfit(Surv(time, status) ~ 1, lungs, conf.type = "log-log"), times = c(100, 365, 700))
say("km.surv", km$surv); say("km.low", km$lower); say("km.high", km$upper); say("km.at_risk", km$n.risk)
say("logrank", survdiff(Surv(time, status) ~ sex, lungs)$chisq)

keep(veteran, "veteran")
fit <- coxph(Surv(time, status) ~ karno + age + celltype, veteran)
say("veteran.coef", coef(fit)); say("veteran.se", sqrt(diag(vcov(fit)))); say("veteran.zph", cox.zph(fit, terms = FALSE)$table[, 1])
say("veteran.logrank", survdiff(Surv(time, status) ~ celltype, veteran)$chisq)

basis <- function(x, k) {
  pos <- function(v) pmax(v, 0)^3
  cbind(x, (pos(x - k[1]) - pos(x - k[3]) * (k[4] - k[1]) / (k[4] - k[3]) + pos(x - k[4]) * (k[3] - k[1]) / (k[4] - k[3])) / (k[4] - k[1])^2,
        (pos(x - k[2]) - pos(x - k[3]) * (k[4] - k[2]) / (k[4] - k[3]) + pos(x - k[4]) * (k[3] - k[2]) / (k[4] - k[3])) / (k[4] - k[1])^2)
}
bent <- coxph(Surv(time, status) ~ basis(karno, quantile(karno, c(.05, .35, .65, .95))), veteran)
say("spline.chisq", 2 * (bent$loglik[2] - coxph(Surv(time, status) ~ karno, veteran)$loglik[2]))

keep(ovarian, "ovarian")
fit <- coxph(Surv(futime, fustat) ~ age, ovarian)
say("ovarian.coef", coef(fit)); say("ovarian.se", sqrt(diag(vcov(fit)))); say("ovarian.loglik", fit$loglik)

skin <- MASS::Melanoma
skin$ev <- ifelse(skin$status == 1, 1, ifelse(skin$status == 3, 2, 0))
keep(skin, "melanoma")
gamma <- mgus2
gamma$etime <- with(gamma, ifelse(pstat == 0, futime, ptime))
gamma$ev <- with(gamma, ifelse(pstat == 0, 2 * death, 1))
gamma <- na.omit(gamma[, c("etime", "ev", "sex", "age", "hgb", "mspike")])
keep(gamma, "mgus2")
competing <- function(name, time, event, x, group, at) {
  fit <- crr(time, event, x)
  say(paste0(name, ".fg.coef"), fit$coef); say(paste0(name, ".fg.se"), sqrt(diag(fit$var)))
  weighted <- finegray(Surv(time, factor(event)) ~ ., data = data.frame(time, event, x), etype = "1")
  again <- coxph(Surv(fgstart, fgstop, fgstatus) ~ as.matrix(weighted[, colnames(x)]), weights = fgwt, data = weighted, ties = "breslow")
  say(paste0(name, ".finegray.coef"), coef(again))
  grays <- cuminc(time, event, group)
  say(paste0(name, ".gray"), grays$Tests[, 1])
  johansen <- summary(survfit(Surv(time, factor(event)) ~ 1, conf.type = "log-log"), times = at)
  say(paste0(name, ".ci.est"), timepoints(cuminc(time, event), at)$est[1, ]); say(paste0(name, ".ci.se"), johansen$std.err[, 2])
  say(paste0(name, ".ci.low"), johansen$lower[, 2]); say(paste0(name, ".ci.high"), johansen$upper[, 2])
}
competing("melanoma", skin$time, skin$ev, as.matrix(skin[, c("age", "thickness", "ulcer")]), skin$ulcer, c(1000, 2000, 3000))
competing("mgus2", gamma$etime, gamma$ev, as.matrix(gamma[, c("age", "hgb", "mspike")]), gamma$sex, c(60, 120, 240))
say("melanoma.gray3", cuminc(skin$time, skin$ev, cut(skin$thickness, c(0, 1, 3, 20)))$Tests[, 1])
many <- data.frame(time = ceiling(gamma$etime / 24), ev = gamma$ev, group = ceiling(gamma$age / 20))
keep(many, "tied"); say("tied.gray", cuminc(many$time, many$ev, many$group)$Tests[, 1])
specific <- coxph(Surv(time, ev == 1) ~ age + thickness + ulcer, skin)
say("melanoma.specific.coef", coef(specific)); say("melanoma.specific.se", sqrt(diag(vcov(specific))))
say("adjust.bh", p.adjust(c(.01, .04, .03, .005, .5), "BH")); say("adjust.holm", p.adjust(c(.01, .04, .03, .005, .5), "holm"))
close(figures)
